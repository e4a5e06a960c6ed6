#pragma once

// The host of a real process: threads and a clock. It owns its threads. Any thread may call it.
// Errors: `false` when the system gives no thread.

#include <cstddef>
#include <memory>

#include "troupe/platform/host.hpp"

namespace troupe::platform {

/// The real host: the steady clock, a pool of threads and one timer thread for deferred calls (started at the
/// first one). Threads that have nothing to do are parked and used again; nothing polls.
///
/// Create it with `std::make_shared`: contexts hold it. The destructor cancels the calls that are still
/// posted and joins every thread; contexts that are still alive keep it from running.
class TROUPE_API HostThreads final : public Host {
 public:
  /// `idle_limit`: how many parked threads are kept for reuse; the others end.
  explicit HostThreads(std::size_t idle_limit = 256);
  ~HostThreads() override;

  std::uint64_t now() noexcept override;
  bool post(std::uint64_t delay_ns, Task task, void* arg) noexcept override;
  bool start_thread(const char* name, Body body, void* arg) noexcept override;

  /// Threads inside a body right now.
  [[nodiscard]] std::size_t busy_threads() const;
  /// Threads started since the beginning (the timer not counted): reuse keeps it low.
  [[nodiscard]] std::size_t threads_started() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace troupe::platform

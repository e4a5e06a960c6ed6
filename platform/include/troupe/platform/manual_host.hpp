#pragma once

// The host of a deterministic process: no threads, a clock that moves when told. It owns what was posted and
// cancels it at its end. Any thread may post; one thread, the owner's, steps.
// Errors: start_thread() always answers false, nothing else fails.

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <utility>

#include "troupe/platform/host.hpp"

namespace troupe::platform {

/// A host without threads and with a virtual clock: posted tasks run when the owner says so, on the owner's
/// thread, in order of due time, then of posting. The same calls give the same order every time.
class TROUPE_API ManualHost final : public Host {
 public:
  ManualHost() = default;
  ~ManualHost() override;

  std::uint64_t now() noexcept override;
  bool post(std::uint64_t delay_ns, Task task, void* arg) noexcept override;
  /// Always refuses: there are no threads.
  bool start_thread(const char* name, Body body, void* arg) noexcept override;
  bool has_threads() const noexcept override { return false; }

  /// Runs the next task, moving the clock to its due time. False: nothing is posted.
  bool step();
  /// Steps until nothing is posted; returns how many tasks ran.
  std::size_t run();
  /// Runs the tasks that are due within `ns` from now, then moves the clock to there.
  std::size_t advance(std::uint64_t ns);
  /// Tasks that are waiting, and the due time of the first (UINT64_MAX: none).
  [[nodiscard]] std::size_t pending() const;
  [[nodiscard]] std::uint64_t next_due() const;

 private:
  bool step_until(std::uint64_t limit);

  mutable std::mutex mutex_;
  std::uint64_t now_ = 0;
  std::uint64_t posted_ = 0;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::pair<Task, void*>> tasks_;
};

}  // namespace troupe::platform

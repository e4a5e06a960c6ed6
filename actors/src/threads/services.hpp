#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <caf/fwd.hpp>

#include "threads/own_process.hpp"
#include "troupe/actors/config.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/platform/host.hpp"
#include "troupe/runtime/error.hpp"
#include "troupe/runtime/export.hpp"

namespace troupe::actors {

class Recorder;

class ActorHost;
class Services;

/// The system is not over while somebody has one of these: an actor, a thread of the host, a caller inside a
/// call. So what they use is there until they have left.
class Stay {
 public:
  Stay() = default;
  Stay(Stay&& other) noexcept : services_(std::exchange(other.services_, nullptr)) {}
  Stay& operator=(Stay&& other) noexcept {
    std::swap(services_, other.services_);
    return *this;
  }
  ~Stay();
  explicit operator bool() const { return services_ != nullptr; }

 private:
  friend class Services;
  explicit Stay(Services* services) : services_(services) {}
  Services* services_ = nullptr;
};

/// The error of something that got no thread: "no thread for `what`", and the limits.
Error no_thread_for(const std::string& what);

/// What actors get from their system: a host for devices and for the few calls that block, a log. Shared,
/// thread-safe, outlives every actor.
class TROUPE_API Services : public std::enable_shared_from_this<Services> {
 public:
  explicit Services(const SystemConfig& config);

  /// The system is up: deferred calls of devices may run as messages; or it is about to go.
  void attach(caf::actor_system& system);
  void detach();

  const std::shared_ptr<platform::Host>& host() const { return host_; }
  bool deterministic() const { return deterministic_; }
  /// Whether threads have to say what they are inside of.
  bool reports_crashes() const { return reports_crashes_; }
  /// Log lines go to standard error.
  bool logs_to_terminal() const { return !sink_ && !file_; }
  /// The trace that is being taken; null when none is.
  const std::shared_ptr<const Recorder>& recorder() const { return recorder_; }

  /// Not in a child of fork, where nothing of the system works.
  bool in_own_process() const noexcept { return process_.is_here(); }
  Error in_a_child() const { return process_.in_a_child(); }

  /// For what belongs to the system.
  Stay stay();
  /// For who comes from outside; empty once the system is going down, and in a child of fork.
  Stay enter();
  /// From now on nobody enters.
  void close_gate();
  bool going() const { return going_.load(std::memory_order_relaxed); }

  /// Drawn by chance: tells this system from others that there are or were.
  std::uint64_t identity() const { return identity_; }
  /// A number that no other run of this system has.
  std::uint64_t next_run() { return ++runs_; }
  /// A number that no other node of this system has had.
  std::uint32_t next_node() { return nodes_++; }
  bool several_nodes() const { return nodes_.load(std::memory_order_relaxed) > 1; }

  /// Never throws: the caller goes on, whatever becomes of the line.
  void log(int level, std::string_view path, std::string_view text) const noexcept;
  void warn(std::string_view path, std::string_view text) const { log(2, path, text); }
  void inform(std::string_view path, std::string_view text) const { log(3, path, text); }
  /// What happens often: `text()` is asked only when somebody wants to read it.
  template <class Text>
  void debug(std::string_view path, const Text& text) const {
    if (log_level_ >= 4) log(4, path, text());
  }

  /// Runs `work` on a thread that may block, once. False: there was no thread for it, and it is still there.
  [[nodiscard]] bool try_blocking(const char* name, std::function<void()>& work);
  /// The same for work that ends by itself and has to be done: without a thread it runs here and now, and
  /// blocks the caller.
  void run_blocking(const char* name, std::function<void()> work);
  /// Like the two above, and never from inside this call: a deterministic system makes a step of it.
  [[nodiscard]] bool try_apart(const char* name, std::function<void()>& work);
  void run_apart(const char* name, std::function<void()> work);
  /// Waits until all have left: what was given to run_blocking, actors, callers. False: somebody has not.
  bool wait_until_idle(std::chrono::nanoseconds patience);

 private:
  friend class Stay;
  void left();
  bool run_next_apart();
  void perform(const char* name, const std::function<void()>& work) const noexcept;

  const OwnProcess process_;
  std::shared_ptr<platform::Host> host_;
  std::shared_ptr<ActorHost> actor_host_;  ///< the same, when nobody gave one
  bool deterministic_, reports_crashes_;
  std::shared_ptr<const Recorder> recorder_;
  int log_level_;
  LogSink sink_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_{nullptr, nullptr};
  std::mutex mutex_;
  std::condition_variable idle_;
  std::size_t staying_ = 0;
  std::atomic<bool> going_{false};           ///< changes with the mutex held
  std::deque<std::function<void()>> apart_;  ///< to be run in steps
  const std::uint64_t identity_;
  std::atomic<std::uint64_t> runs_{0};
  std::atomic<std::uint32_t> nodes_{0};
};

}  // namespace troupe::actors

#pragma once

// How a run ended. A RunOutcome is shared by the run, which writes it once, and by the handles that read it:
// any thread, at any time, also after the System has gone.
// Errors: none; a run's failure is a field of its report.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "troupe/runtime/error.hpp"
#include "troupe/runtime/longest_wait.hpp"

namespace troupe::actors {

/// How a run ended. `error` is the first failure that the program did not await, or the reason why the run
/// was ended (cancel, deadline).
struct RunReport {
  std::optional<Error> error = {};
  /// Names of tasks that were not run because of a failure; the first 64.
  std::vector<std::string> poisoned = {};
  std::uint64_t tasks = 0;   ///< that the program submitted; reads do not count
  std::uint64_t inside = 0;  ///< that programs below submitted, of those that were tasks of this one
  std::uint64_t completed = 0;
  std::uint64_t retried = 0;
  std::uint64_t made_again = 0;    ///< tasks that ran once more, for bytes that were lost with a chip
  std::uint64_t all_poisoned = 0;  ///< how many there were
  /// Of a run that was cancelled (by a deadlock, a deadline or a user): why its unfinished tasks waited at
  /// that moment, a sentence each; the first 16 in the order of their submits.
  std::vector<std::string> waiting = {};
  std::uint64_t unfinished = 0;  ///< how many there were
};

/// Where a run announces its end: written once by its run actor, read by handles on any thread, also after
/// the system is gone.
class RunOutcome {
 public:
  void set(RunReport report) {
    {
      std::lock_guard guard(mutex_);
      if (report_) return;
      report_ = std::move(report);
    }
    changed_.notify_all();
  }
  std::optional<RunReport> get() const {
    std::lock_guard guard(mutex_);
    return report_;
  }
  bool done() const {
    std::lock_guard guard(mutex_);
    return report_.has_value();
  }
  /// False: not done in time. nullopt waits for ever.
  bool wait(std::optional<std::chrono::nanoseconds> timeout) const {
    std::unique_lock guard(mutex_);
    auto ready = [this] { return report_.has_value(); };
    if (!timeout) return changed_.wait(guard, ready), true;
    return changed_.wait_for(guard, runtime::bounded(*timeout), ready);
  }

  /// False: a stop was asked for before, or not in time.
  bool wait(const std::stop_token& stop, std::chrono::nanoseconds timeout) const {
    const std::stop_callback wake(stop, [this] {
      std::lock_guard guard(mutex_);
      changed_.notify_all();
    });  // goes last: the one that it may wait for wants the mutex
    std::unique_lock guard(mutex_);
    changed_.wait_for(guard, runtime::bounded(timeout),
                      [&] { return report_.has_value() || stop.stop_requested(); });
    return report_.has_value();
  }
  /// Something that is to live as long as the run is looked at.
  void keep(std::shared_ptr<const void> what) {
    std::lock_guard guard(mutex_);
    kept_ = std::move(what);
  }

 private:
  std::shared_ptr<const void> kept_;
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::optional<RunReport> report_;
};

}  // namespace troupe::actors

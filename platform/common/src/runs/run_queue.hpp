#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "runs/delivery.hpp"
#include "runs/failed_runs.hpp"
#include "runs/run.hpp"
#include "threads/threads.hpp"

namespace troupe::platform::common {

/// The runs of one chip: first in, first out, one at a time, each completed exactly once. A run whose
/// producer failed is skipped as poisoned. Completions of short runs are gathered and handed to the host in
/// batches; nothing waits in a batch while something long runs. Safe from any thread.
class RunQueue final : Job {
 public:
  using Clock = std::chrono::steady_clock;

  RunQueue(HostServices& host, CoreThreads& threads, CallableTable& callables, RunExecutor& executor);
  ~RunQueue();

  /// What the callables of launched runs are.
  enum class Of { callables, graphs };
  /// All or nothing.
  Result<void> launch(std::span<const troupe_run> runs, std::uint64_t settled, Of of = Of::callables);
  /// Queues one run and waits for its end.
  Outcome run_and_wait(const troupe_run& description, troupe_completion* completion);
  Result<void> abort(std::uint64_t correlation);

  /// Takes no more, aborts everything, and waits until all has ended, at most until `deadline`. False: a
  /// kernel did not return; its run and those behind it are completed as aborted all the same, and nothing is
  /// reported afterwards.
  bool close(Clock::time_point deadline);

  /// Touches memory of the host, unless the chip was given up: whoever is told that a run ended may use that
  /// memory anew, so giving up waits for a copy that has begun. False: given up, nothing done.
  template <class Copy>
  bool with_host_memory(Copy copy) {
    const std::lock_guard lock(host_memory_);
    if (!given_up_) copy();
    return !given_up_;
  }

  /// Hands over the completions gathered so far; for who is about to wait.
  void flush() noexcept;

  /// Whether the calling thread is inside a completion callback of this chip.
  bool inside_callback() const noexcept { return delivery_.is_inside(); }
  /// Fills the run counters.
  void report(troupe_device_status& status) const;
  /// Calls `look(run, executing)` for every unfinished run, in order, with the queue held still.
  template <class Look>
  void for_each_unfinished(Look look) const {
    const std::lock_guard lock(mutex_);
    if (executing_ != nullptr) look(*executing_, true);
    for (const auto& run : queued_) look(*run, false);
  }

  static constexpr std::uint32_t depth = 65536;

 private:
  struct Ticket;
  void run() noexcept override;
  static void run_posted(void* ticket, std::int32_t cancelled);
  bool call_runner(CoreThreads::Thread*& thread);  // with the mutex held
  Error take_back(std::size_t count);
  void serve() noexcept;
  bool wait_for_more() const;
  std::unique_ptr<Run> next();
  void execute(Run& run);
  void finish(std::unique_ptr<Run> run);
  void abandon();
  std::unique_ptr<Run> fresh(const troupe_run& description, Of of);  // with the mutex held

  HostServices& host_;
  CoreThreads& threads_;
  CallableTable& callables_;
  RunExecutor& executor_;

  mutable std::mutex mutex_;
  std::condition_variable ended_;
  std::deque<std::unique_ptr<Run>> queued_;
  Run* executing_ = nullptr;
  std::vector<std::unique_ptr<Run>> finished_;  ///< completion not delivered yet
  std::vector<std::unique_ptr<Run>> awaited_;   ///< ended, to be picked up by run_and_wait
  std::vector<std::unique_ptr<Run>> spare_;
  FailedRuns failed_;
  std::uint64_t last_correlation_ = 0;
  std::uint64_t completed_ = 0, failures_ = 0;
  bool serving_ = false;  ///< a thread (or a posted task) is in charge of the queue
  bool closing_ = false, abandoned_ = false;
  std::atomic<std::uint32_t> arrivals_{0};  ///< bumped at each launch, for the spinning runner

  std::mutex host_memory_;  ///< held while bytes of the host are copied
  bool given_up_ = false;

  Delivery delivery_;                           ///< begun before mutex_ is taken
  std::shared_ptr<Ticket> ticket_;              ///< with a host that has no threads
  std::uint64_t usual_ns_ = ~std::uint64_t{0};  ///< runner only: how long recent runs took
};

}  // namespace troupe::platform::common

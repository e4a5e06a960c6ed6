#pragma once

#include <atomic>
#include <caf/resumable.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>

#include "troupe/runtime/export.hpp"

namespace troupe::actors {

/// A few cycles off, for the bounded looks before parking.
void pause_briefly();

/// Jobs that any thread may take: the system's workers, and callers that help while they wait (see pump.hpp);
/// those with code of a user's in them are for workers alone. One mutex. A wake call is made only when
/// somebody is parked and there are more jobs than threads that are looking, or about to look: a caller
/// between two jobs, a worker inside an actor of the framework (their handlers are short). Who is inside code
/// of a user's is neither, because that may compute, or block, as long as it likes.
class TROUPE_API JobQueue {
 public:
  enum class Who : std::uint8_t { worker, caller };

  void push(caf::resumable* job);
  void push_for_workers(caf::resumable* job);
  /// The next job for a caller, or null, at once.
  caf::resumable* try_pop();
  /// The thread counts as one that looks for jobs until `end_looking`. For a short while each worker leaves
  /// one job to a caller that looks: what its own messages led to is cheapest there.
  void begin_looking(Who who);
  void end_looking(Who who);
  /// The next job, for a worker that counts as looking: looks for a short while, for longer where jobs have
  /// been coming at short intervals, then parks. Null: the queue is closed, and empty.
  caf::resumable* pop();
  void close();
  bool empty() const { return size_.load(std::memory_order_relaxed) == 0; }
  /// Workers that sleep.
  int parked() const;

  template <class F>
  void drain(F f) {
    std::lock_guard guard(mutex_);
    while (auto* job = take()) f(job);
  }

 private:
  using Clock = std::chrono::steady_clock;
  bool must_wake() const;
  caf::resumable* take();
  caf::resumable* take_from(std::deque<caf::resumable*>& jobs);
  void add(std::deque<caf::resumable*>& jobs, caf::resumable* job);
  void look(Clock::time_point since);
  void look_longer(Clock::time_point since);
  void waited(Clock::time_point now);
  bool looker_is_away() const;
  bool callers_suffice() const {
    return size_.load(std::memory_order_relaxed) <= callers_.load(std::memory_order_relaxed) &&
           !for_workers_.load(std::memory_order_relaxed);
  }

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<caf::resumable*> jobs_, workers_jobs_;
  Clock::time_point waited_;              ///< when the last wait ended
  std::atomic<int> size_{0};              ///< of both
  std::atomic<bool> for_workers_{false};  ///< there is something that callers must not take
  int parked_ = 0;
  bool closed_ = false;
  std::atomic<int> looking_{0};  ///< threads that will look: workers that are not parked, callers that wait
  std::atomic<int> callers_{0};  ///< of these
  std::atomic<int> waiting_{0};  ///< workers in their look before they park
  std::atomic<Clock::rep> looked_at_{0};  ///< when one that looks for longer last did; 0: none does
  /// How many waits in a row were short, and how many of them it takes before a worker looks for longer: more
  /// where the processor was taken away from one that did.
  std::atomic<int> short_waits_{0}, trusted_after_{4};
};

}  // namespace troupe::actors

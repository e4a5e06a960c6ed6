#pragma once

#include <caf/all.hpp>
#include <caf/policy/unprofiled.hpp>
#include <caf/scheduler/abstract_coordinator.hpp>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>

namespace troupe::actors {

/// A few cycles off, for the bounded looks before parking.
void pause_briefly();

/// Jobs that any thread may take: CAF's workers, and callers that help while they wait (see pump.hpp). One
/// mutex. A wake call is made only when somebody is parked and there are more jobs than threads that are
/// looking (or about to look: a caller between two jobs) anyway.
class JobQueue {
 public:
  void push(caf::resumable* job);
  /// The next job or null, at once.
  caf::resumable* try_pop();
  /// A caller promises to come and look until it takes the promise back. Workers leave it a job each for a
  /// while: what its own messages led to is cheapest where they came from.
  void begin_looking() {
    callers_.fetch_add(1, std::memory_order_relaxed);
    looking_.fetch_add(1, std::memory_order_relaxed);
  }
  void end_looking(bool caller = true);
  /// The next job, for a worker (`again`: one that ran the job it got before): looks for a short while, for
  /// longer where jobs have been coming at short intervals, then parks.
  caf::resumable* pop(bool again);
  bool empty() const { return size_.load(std::memory_order_relaxed) == 0; }

  template <class F>
  void drain(F f) {
    while (auto* job = try_pop()) f(job);
  }

 private:
  bool must_wake() const {
    return parked_ > 0 && static_cast<long>(jobs_.size()) > looking_.load(std::memory_order_relaxed);
  }

  using Clock = std::chrono::steady_clock;
  void look(Clock::time_point since);
  void look_longer(Clock::time_point since);
  void waited(Clock::time_point now);

  bool looker_is_away() const;
  bool callers_suffice() const {
    return size_.load(std::memory_order_relaxed) <= callers_.load(std::memory_order_relaxed);
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<caf::resumable*> jobs_;
  Clock::time_point waited_;  ///< when the last wait ended
  std::atomic<std::size_t> size_{0};
  int parked_ = 0;
  std::atomic<int> looking_{0};  ///< threads that will look: workers that are not parked, callers that wait
  std::atomic<std::size_t> callers_{0};   ///< of these
  std::atomic<int> waiting_{0};           ///< workers in their look before they park
  std::atomic<Clock::rep> looked_at_{0};  ///< when one that looks for longer last did; 0: none does
  /// How many waits in a row were short, and how many of them it takes before a worker looks for longer: more
  /// where the processor was taken away from one that did.
  std::atomic<int> short_waits_{0}, trusted_after_{4};
};

/// How actors share threads. A job enqueued by a running actor goes to its worker's own slot and runs next on
/// the same thread, so a task that travels program → run → worker → chip wakes no thread; whatever does not
/// fit the slot, and everything from outside, goes to the shared queue. Why not CAF's `stealing`: its idle
/// workers sleep 50 µs and are not woken, and its queue is quadratic. Why not `sharing`: each hop of a task
/// would be a wake-up of a parked worker (decision 0070).
class HandOver : public caf::policy::unprofiled {
 public:
  struct coordinator_data {
    explicit coordinator_data(caf::scheduler::abstract_coordinator*) {}
    JobQueue queue;
  };
  struct worker_data {
    explicit worker_data(caf::scheduler::abstract_coordinator*) {}
    caf::resumable* next = nullptr;
    int streak = 0;        ///< jobs taken from the slot in a row while others wait in the queue
    bool counted = false;  ///< has taken a job before, so the queue counts it as running
  };

  template <class Coordinator>
  void central_enqueue(Coordinator* self, caf::resumable* job) {
    self->data().queue.push(job);
  }
  template <class Worker>
  void external_enqueue(Worker* self, caf::resumable* job) {
    self->parent()->data().queue.push(job);
  }
  template <class Worker>
  void internal_enqueue(Worker* self, caf::resumable* job) {
    if (self->data().next == nullptr) {
      self->data().next = job;
    } else {
      external_enqueue(self, job);
    }
  }
  template <class Worker>
  void resume_job_later(Worker* self, caf::resumable* job) {
    external_enqueue(self, job);
  }
  template <class Worker>
  caf::resumable* dequeue(Worker* self) {
    auto& own = self->data();
    auto& queue = self->parent()->data().queue;
    if (own.next != nullptr) {
      auto* job = std::exchange(own.next, nullptr);
      if (++own.streak < max_streak || queue.empty()) return job;
      queue.push(job);
    }
    own.streak = 0;
    return queue.pop(std::exchange(own.counted, true));
  }
  /// A worker that ends will not look for jobs any more.
  template <class Worker>
  void before_shutdown(Worker* self) {
    if (self->data().counted) self->parent()->data().queue.end_looking(false);
  }
  template <class Worker, class F>
  void foreach_resumable(Worker* self, F f) {
    if (auto* job = std::exchange(self->data().next, nullptr)) f(job);
  }
  template <class Coordinator, class F>
  void foreach_central_resumable(Coordinator* self, F f) {
    self->data().queue.drain(f);
  }

 private:
  static constexpr int max_streak = 16;
};

/// The shared queue of a system that runs on `HandOver`; null under the deterministic scheduler.
JobQueue* shared_queue(caf::actor_system& system);

/// CAF configured as we use it, in one place. `deterministic`: CAF's test coordinator on the caller's thread
/// with a virtual clock; `threads` 0: as many as the machine has cores.
class CafConfig : public caf::actor_system_config {
 public:
  CafConfig(bool deterministic, std::size_t threads);
};

}  // namespace troupe::actors

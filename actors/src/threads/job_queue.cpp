#include "threads/job_queue.hpp"

#include <algorithm>
#include <thread>

namespace troupe::actors {
namespace {

/// 3 to 25 µs, as long as this processor pauses: longer than the hand-over of a message between running
/// threads.
constexpr int spin_rounds = 60;

/// Jobs at such intervals are worth looking for: waking a thread costs its waker several microseconds.
constexpr std::chrono::microseconds soon{75};
/// Between two looks lies this much when the processor was given to somebody else meanwhile.
constexpr std::chrono::microseconds displaced{20};
/// Whoever else wants this processor is let through this often.
constexpr std::chrono::microseconds courtesy{10};
/// Short waits in a row before a worker looks for longer: at first, and at most.
constexpr int trust_at_first = 4, trust_at_most = 1024;

}  // namespace

void pause_briefly() {
  for (int i = 0; i < 16; ++i) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
}

bool JobQueue::must_wake() const {
  if (parked_ == 0) return false;
  const int looking = looking_.load(std::memory_order_relaxed);
  if (size_.load(std::memory_order_relaxed) > looking) return true;
  return !workers_jobs_.empty() &&
         static_cast<int>(workers_jobs_.size()) > looking - callers_.load(std::memory_order_relaxed);
}

void JobQueue::add(std::deque<caf::resumable*>& jobs, caf::resumable* job) {
  bool wake = false;
  {
    std::lock_guard guard(mutex_);
    jobs.push_back(job);
    size_.store(size_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (&jobs == &workers_jobs_) for_workers_.store(true, std::memory_order_relaxed);
    wake = must_wake() || (parked_ > 0 && looker_is_away());
  }
  if (wake) wake_.notify_one();
}

void JobQueue::push(caf::resumable* job) { add(jobs_, job); }
void JobQueue::push_for_workers(caf::resumable* job) { add(workers_jobs_, job); }

/// Who looks for longer has lost its processor: a job must not wait until it is back.
bool JobQueue::looker_is_away() const {
  const auto at = looked_at_.load(std::memory_order_relaxed);
  return at != 0 && Clock::now().time_since_epoch() - Clock::duration(at) > displaced;
}

/// The guard is held.
caf::resumable* JobQueue::take_from(std::deque<caf::resumable*>& jobs) {
  if (jobs.empty()) return nullptr;
  auto* job = jobs.front();
  jobs.pop_front();
  size_.store(size_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
  if (must_wake()) wake_.notify_one();
  return job;
}

/// With the guard held. First what no other thread takes.
caf::resumable* JobQueue::take() {
  if (workers_jobs_.empty()) return take_from(jobs_);
  auto* job = take_from(workers_jobs_);
  for_workers_.store(!workers_jobs_.empty(), std::memory_order_relaxed);
  return job;
}

caf::resumable* JobQueue::try_pop() {
  if (empty()) return nullptr;
  std::lock_guard guard(mutex_);
  return take_from(jobs_);
}

void JobQueue::begin_looking(Who who) {
  if (who == Who::caller) callers_.fetch_add(1, std::memory_order_relaxed);
  looking_.fetch_add(1, std::memory_order_relaxed);
}

void JobQueue::end_looking(Who who) {
  std::lock_guard guard(mutex_);
  if (who == Who::caller) callers_.fetch_sub(1, std::memory_order_relaxed);
  looking_.fetch_sub(1, std::memory_order_relaxed);
  if (must_wake()) wake_.notify_one();
}

/// Looks as long as it may, which is until `soon` at most, and tells what can be learned from it.
void JobQueue::look_longer(Clock::time_point since) {
  auto last = Clock::now(), yielded = last;
  bool away = false;
  while (callers_suffice() && last - since < soon && !away) {
    looked_at_.store(last.time_since_epoch().count(), std::memory_order_relaxed);
    pause_briefly();
    auto now = Clock::now();
    if (now - yielded > courtesy) {
      std::this_thread::yield();  // who else wants this processor shall have it
      yielded = now = Clock::now();
    }
    away = now - last > displaced;
    last = now;
  }
  looked_at_.store(0, std::memory_order_relaxed);
  int needed = trusted_after_.load(std::memory_order_relaxed);
  if (away) {
    // There are more threads than processors.
    short_waits_.store(0, std::memory_order_relaxed);
    needed *= 2;
  } else if (!empty()) {
    --needed;
  }
  trusted_after_.store(std::clamp(needed, trust_at_first, trust_at_most), std::memory_order_relaxed);
}

void JobQueue::look(Clock::time_point since) {
  for (int i = 0; i < spin_rounds && callers_suffice(); ++i) pause_briefly();
  if (!empty() ||
      short_waits_.load(std::memory_order_relaxed) < trusted_after_.load(std::memory_order_relaxed))
    return;
  look_longer(since);
}

/// A wait has ended. What counts is the time since the one before, on any thread: parked workers take turns.
void JobQueue::waited(Clock::time_point now) {
  const int before = short_waits_.load(std::memory_order_relaxed);
  const bool is_short = now - std::exchange(waited_, now) < soon;
  short_waits_.store(is_short ? std::min(before + 1, trust_at_most) : 0, std::memory_order_relaxed);
}

caf::resumable* JobQueue::pop() {
  if (!callers_suffice()) {
    std::lock_guard guard(mutex_);
    if (auto* job = take()) return job;
  }
  const auto since = Clock::now();
  const bool alone = waiting_.fetch_add(1, std::memory_order_relaxed) == 0;
  if (alone) look(since);
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  std::unique_lock guard(mutex_);
  while (empty()) {
    if (closed_) return nullptr;
    ++parked_;
    looking_.fetch_sub(1, std::memory_order_relaxed);
    wake_.wait(guard);
    looking_.fetch_add(1, std::memory_order_relaxed);
    --parked_;
  }
  waited(Clock::now());
  return take();
}

void JobQueue::close() {
  {
    std::lock_guard guard(mutex_);
    closed_ = true;
  }
  wake_.notify_all();
}

int JobQueue::parked() const {
  std::lock_guard guard(mutex_);
  return parked_;
}

}  // namespace troupe::actors

#include "scheduling.hpp"

#include <caf/scheduler/coordinator.hpp>
#include <thread>

namespace troupe::actors {
namespace {

/// About 3 µs: longer than the hand-over of a message between running threads, far shorter than a wake-up.
constexpr int spin_rounds = 60;

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

void JobQueue::push(caf::resumable* job) {
  bool wake = false;
  {
    std::lock_guard guard(mutex_);
    jobs_.push_back(job);
    size_.store(jobs_.size(), std::memory_order_relaxed);
    wake = must_wake();
  }
  if (wake) wake_.notify_one();
}

caf::resumable* JobQueue::try_pop() {
  if (size_.load(std::memory_order_relaxed) == 0) return nullptr;
  std::lock_guard guard(mutex_);
  if (jobs_.empty()) return nullptr;
  auto* job = jobs_.front();
  jobs_.pop_front();
  size_.store(jobs_.size(), std::memory_order_relaxed);
  if (must_wake()) wake_.notify_one();
  return job;
}

void JobQueue::end_looking() {
  std::lock_guard guard(mutex_);
  looking_.fetch_sub(1, std::memory_order_relaxed);
  if (must_wake()) wake_.notify_one();
}

caf::resumable* JobQueue::pop(bool again) {
  // A running worker counts as one that will look: here it comes.
  if (!again) looking_.fetch_add(1, std::memory_order_relaxed);
  if (auto* job = try_pop()) return job;
  const bool alone = waiting_.fetch_add(1, std::memory_order_relaxed) == 0;
  for (int i = 0; alone && i < spin_rounds && size_.load(std::memory_order_relaxed) == 0; ++i)
    pause_briefly();
  waiting_.fetch_sub(1, std::memory_order_relaxed);
  std::unique_lock guard(mutex_);
  while (jobs_.empty()) {
    ++parked_;
    looking_.fetch_sub(1, std::memory_order_relaxed);
    wake_.wait(guard);
    looking_.fetch_add(1, std::memory_order_relaxed);
    --parked_;
  }
  auto* job = jobs_.front();
  jobs_.pop_front();
  size_.store(jobs_.size(), std::memory_order_relaxed);
  if (must_wake()) wake_.notify_one();
  return job;
}

JobQueue* shared_queue(caf::actor_system& system) {
  auto* coordinator = dynamic_cast<caf::scheduler::coordinator<HandOver>*>(&system.scheduler());
  return coordinator != nullptr ? &coordinator->data().queue : nullptr;
}

CafConfig::CafConfig(bool deterministic, std::size_t threads) {
  if (deterministic) {
    set("scheduler.policy", caf::atom("testing"));
    return;
  }
  if (threads == 0) threads = std::max<std::size_t>(1, std::thread::hardware_concurrency());
  set("scheduler.max-threads", threads);
  // Unlimited by default, with which one busy actor starves all others.
  set("scheduler.max-throughput", std::size_t{300});
  load<caf::scheduler::coordinator<HandOver>>();
}

}  // namespace troupe::actors

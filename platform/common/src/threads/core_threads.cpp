#include "threads/core_threads.hpp"

#include "threads/futex.hpp"

namespace troupe::platform::common {

namespace {
// Signals to a parked thread.
constexpr std::uint32_t parked = 0, called = 1;
}  // namespace

void CoreThreads::body(void* argument) {
  auto& thread = *static_cast<Thread*>(argument);
  thread.owner->serve(thread);
}

void CoreThreads::serve(Thread& thread) {
  for (;;) {
    while (thread.signal.load(std::memory_order_acquire) == parked) futex_wait(thread.signal, parked);
    Job* job = thread.job;
    if (job != nullptr) job->run();
    const std::lock_guard lock(mutex_);
    if (job == nullptr || closing_) {
      --alive_;
      returned_.notify_all();
      return;
    }
    thread.job = nullptr;
    thread.signal.store(parked, std::memory_order_relaxed);
    idle_.push_back(&thread);
  }
}

CoreThreads::Thread* CoreThreads::add_thread() {
  auto& thread = all_.emplace_back();
  thread.owner = this;
  ++alive_;
  if (host_.start_thread("troupe core", &CoreThreads::body, &thread)) return &thread;
  --alive_;
  all_.pop_back();
  return nullptr;
}

bool CoreThreads::start(Job& job) {
  auto* thread = take(job);
  if (thread != nullptr) wake(*thread);
  return thread != nullptr;
}

CoreThreads::Thread* CoreThreads::take(Job& job) {
  const std::lock_guard lock(mutex_);
  if (closing_) return nullptr;
  auto* thread = idle_.empty() ? add_thread() : idle_.back();
  if (thread == nullptr) return nullptr;
  if (!idle_.empty()) idle_.pop_back();
  thread->job = &job;
  return thread;
}

void CoreThreads::wake(Thread& thread) {
  thread.signal.store(called, std::memory_order_release);
  futex_wake(thread.signal, 1);
}

bool CoreThreads::provide(std::size_t count) {
  const std::lock_guard lock(mutex_);
  if (closing_) return false;
  while (idle_.size() < count) {
    auto* thread = add_thread();
    if (thread == nullptr) return false;
    idle_.push_back(thread);
  }
  return true;
}

bool CoreThreads::close(std::chrono::steady_clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  closing_ = true;
  for (auto* thread : idle_) {
    thread->signal.store(called, std::memory_order_release);
    futex_wake(thread->signal, 1);
  }
  idle_.clear();
  return returned_.wait_until(lock, deadline, [this] { return alive_ == 0; });
}

std::size_t CoreThreads::threads() const {
  const std::lock_guard lock(mutex_);
  return alive_;
}

}  // namespace troupe::platform::common

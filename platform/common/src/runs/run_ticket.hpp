#pragma once

#include <condition_variable>
#include <mutex>
#include <utility>

#include "runs/run_queue.hpp"

namespace troupe::platform::common {

/// Lets a posted task find out that its queue is gone, and who closes the queue that the task is inside.
struct RunQueue::Ticket {
  std::mutex mutex;
  std::condition_variable left;
  bool inside = false;
  RunQueue* queue = nullptr;

  /// The queue, for one that goes in; null: it is gone.
  RunQueue* enter() {
    const std::lock_guard lock(mutex);
    inside = queue != nullptr;
    return queue;
  }
  void leave() {
    const std::lock_guard lock(mutex);
    inside = false;
    left.notify_all();
  }
  /// Takes the queue away when nobody is inside by then: what was pending is the caller's now.
  bool revoke(Clock::time_point deadline) {
    std::unique_lock lock(mutex);
    if (!left.wait_until(lock, deadline, [this] { return !inside; })) return false;
    return std::exchange(queue, nullptr) != nullptr;
  }
};

}  // namespace troupe::platform::common

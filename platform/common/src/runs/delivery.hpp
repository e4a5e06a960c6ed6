#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <span>
#include <thread>

#include "runs/run.hpp"
#include "threads/threads.hpp"

namespace troupe::platform::common {

/// Tells the host of ends, one batch after the other, and knows which thread is inside the host's callback.
class Delivery {
 public:
  explicit Delivery(HostServices& host) : host_(host) {}

  /// To be held from before runs are taken out of their list until they are delivered, so that no batch
  /// overtakes another.
  std::unique_lock<std::mutex> begin() { return std::unique_lock(mutex_); }
  /// With what `begin` answered held, and no other lock.
  void deliver(std::span<const std::unique_ptr<Run>> runs);
  bool is_inside() const noexcept { return delivering_.load() == std::this_thread::get_id(); }

 private:
  HostServices& host_;
  std::mutex mutex_;
  std::atomic<std::thread::id> delivering_{};
};

/// What the host is told of a run that has ended; borrows its message.
troupe_completion completion_of(const Run& run);

}  // namespace troupe::platform::common

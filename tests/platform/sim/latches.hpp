#pragma once

#include <condition_variable>
#include <mutex>

namespace troupe::test {

/// Opened once; waits without a clock.
class Latch {
 public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    opened_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    opened_.wait(lock, [this] { return open_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable opened_;
  bool open_ = false;
};

struct Latches {
  Latch entered, leave, left;
};

}  // namespace troupe::test

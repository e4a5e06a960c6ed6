#pragma once

#include <atomic>
#include <cstdint>

#include "common.hpp"
#include "threads/threads.hpp"

namespace troupe::platform::sim {

/// What threads without work listen for. All of it with the baton, which a thread gives back while it
/// listens, so that nothing which was rung in between is missed.
class Bell {
 public:
  /// Whether a thread would hear it.
  bool is_heard() const noexcept { return listening_ != 0; }

  void ring() noexcept {
    if (listening_ == 0) return;
    rung_.fetch_add(1, std::memory_order_release);
    if (sleeping_ != 0) futex_wake(rung_, static_cast<int>(sleeping_));
  }

  /// Listens for a moment, as long as another wake-up would cost; then `sleeps` until it rings, or answers
  /// false.
  template <class Lock>
  bool listen(Lock& lock, int spins, bool sleeps) {
    ++listening_;
    const std::uint32_t seen = rung_.load(std::memory_order_relaxed);
    lock.unlock();
    for (int spin = 0; spin < spins && rung_.load(std::memory_order_acquire) == seen; ++spin) spin_pause();
    lock.lock();
    bool goes_on = true;
    if (rung_.load(std::memory_order_relaxed) == seen) {
      goes_on = sleeps;
      if (goes_on) {
        ++sleeping_;
        lock.unlock();
        futex_wait(rung_, seen);
        lock.lock();
        --sleeping_;
      }
    }
    --listening_;
    return goes_on;
  }

 private:
  std::atomic<std::uint32_t> rung_{0};
  std::uint32_t listening_ = 0, sleeping_ = 0;
};

}  // namespace troupe::platform::sim

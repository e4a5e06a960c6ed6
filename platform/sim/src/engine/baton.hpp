#pragma once

#include <atomic>
#include <cstdint>

#include "common.hpp"
#include "threads/threads.hpp"

namespace troupe::platform::sim {

/// The right to touch a run's graph. The thread that holds it schedules, and passes it on before it enters a
/// kernel. A lock that spins briefly (the holder works for well under a microsecond) and then sleeps.
/// Lockable, so std::unique_lock serves. It is handed on in `Crew::run_taken` and `Crew::serve`.
class Baton {
 public:
  /// With `spins` 0 (a host with one processor) it sleeps at once.
  explicit Baton(std::uint32_t spins) noexcept : spins_(spins) {}

  bool try_lock() noexcept {
    std::uint32_t expected = free_;
    return state_.load(std::memory_order_relaxed) == free_ &&
           state_.compare_exchange_strong(expected, held_, std::memory_order_acquire,
                                          std::memory_order_relaxed);
  }
  void lock() noexcept {
    if (!try_lock()) lock_slowly();
  }
  void unlock() noexcept {
    if (state_.exchange(free_, std::memory_order_release) == awaited_) futex_wake(state_, 1);
  }

 private:
  static constexpr std::uint32_t free_ = 0, held_ = 1, awaited_ = 2;

  void lock_slowly() noexcept {
    for (std::uint32_t spin = 0; spin < spins_; ++spin) {
      spin_pause();
      if (try_lock()) return;
    }
    while (state_.exchange(awaited_, std::memory_order_acquire) != free_) futex_wait(state_, awaited_);
  }

  alignas(64) std::atomic<std::uint32_t> state_{free_};
  std::uint32_t spins_;
};

}  // namespace troupe::platform::sim

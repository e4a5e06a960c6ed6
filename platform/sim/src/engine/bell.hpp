#pragma once

#include <atomic>
#include <cstdint>

#include "common.hpp"
#include "threads/threads.hpp"

namespace troupe::platform::sim {

/// Who serves whom: a thread that has run all that lies on its tray need not take the baton, and with it the
/// cache lines of the graph, when another one is about to hold it anyway. It says so and waits a moment for
/// that one to lay on more. Any thread.
class Service {
 public:
  /// The calling thread looks whether it is asked, from now on until `end`.
  void begin() noexcept { serving_.fetch_add(1, std::memory_order_relaxed); }
  void end() noexcept { serving_.fetch_sub(1, std::memory_order_relaxed); }
  /// Whose thread held the baton last: where the graph is in the cache.
  void held_by(const void* tray) noexcept {
    if (last_.load(std::memory_order_relaxed) != tray) last_.store(tray, std::memory_order_relaxed);
  }
  bool is_asked() const noexcept { return asking_.load(std::memory_order_relaxed) != 0; }

  /// Whether another one than the thread of `tray` has the graph at hand, and looks.
  bool would_hear(const void* tray) const noexcept {
    return last_.load(std::memory_order_relaxed) != tray && serving_.load(std::memory_order_relaxed) != 0;
  }
  /// Asks, until `came()` or a moment is over: false.
  template <class Came>
  bool ask(Came came) noexcept {
    asking_.fetch_add(1, std::memory_order_relaxed);
    bool has_come = false;
    for (int spin = 0; spin < patience && !has_come; ++spin) {
      if (serving_.load(std::memory_order_relaxed) == 0) break;
      spin_pause();
      has_come = came();
    }
    asking_.fetch_sub(1, std::memory_order_relaxed);
    return has_come;
  }

 private:
  static constexpr int patience = 100;  ///< about what it costs to do it oneself
  alignas(64) std::atomic<std::uint32_t> asking_{0};
  alignas(64) std::atomic<std::uint32_t> serving_{0};
  std::atomic<const void*> last_{nullptr};
};

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

  /// Listens for a moment, as long as another wake-up would cost, also to those who ask for service; then
  /// `sleeps` until it rings, or answers false.
  template <class Lock>
  bool listen(Lock& lock, Service& service, int spins, bool sleeps) {
    ++listening_;
    const std::uint32_t seen = rung_.load(std::memory_order_relaxed);
    lock.unlock();
    bool asked = false;
    if (spins != 0) {
      service.begin();
      for (int spin = 0; spin < spins && rung_.load(std::memory_order_acquire) == seen; ++spin) {
        if ((asked = service.is_asked())) break;
        spin_pause();
      }
      service.end();
    }
    lock.lock();
    bool goes_on = true;
    if (!asked && rung_.load(std::memory_order_relaxed) == seen) {
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

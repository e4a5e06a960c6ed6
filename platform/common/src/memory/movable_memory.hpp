#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <utility>
#include <vector>

#include "troupe/platform/device_abi.h"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::common {

/// Memory of a chip that moves reach by address. Any thread.
class MovableMemory {
 public:
  /// The bytes stay until leave_move(); an error where there are none.
  virtual Result<void> enter_move(std::uint64_t address, std::uint64_t bytes, std::string_view side) = 0;
  virtual void leave_move(std::uint64_t address, std::uint64_t bytes) noexcept = 0;
  /// The chip is being closed, which waits for who is inside.
  virtual bool ends_moves() const noexcept = 0;
  /// Puts bytes where they are known to fit.
  virtual void take_moved(std::uint64_t address, const void* data, std::uint64_t size) = 0;

 protected:
  ~MovableMemory() = default;
};

/// Makes a move, on this thread. `from`, `to`: whose memory it is; null: the host's.
Result<void> make_move(const troupe_move& move, MovableMemory* from, MovableMemory* to);

/// Which memory of a chip moves are inside of. Safe from any thread.
class MovesInside {
 public:
  /// Lets a move in if `check()` is fine with it; nothing is freed in between.
  template <class Check>
  Result<void> enter(std::uint64_t address, std::uint64_t bytes, Check check) {
    const std::lock_guard lock(mutex_);
    if (closing_.load()) return Error(Errc::aborted, "the device is being reset");
    Result<void> fine = check();
    if (fine) inside_.emplace_back(address, bytes);
    return fine;
  }
  void leave(std::uint64_t address, std::uint64_t bytes) noexcept {
    const std::lock_guard lock(mutex_);
    const auto it = std::find(inside_.begin(), inside_.end(), std::pair(address, bytes));
    if (it != inside_.end()) inside_.erase(it);
    if (inside_.empty()) left_.notify_all();
  }
  /// Calls `free()` unless `meets(address)` is true of one that is inside; none comes in meanwhile.
  template <class Meets, class Free>
  Result<void> unless_inside(Meets meets, Free free) {
    const std::lock_guard lock(mutex_);
    if (std::any_of(inside_.begin(), inside_.end(), [&](const auto& range) { return meets(range.first); }))
      return Error(Errc::busy, "a move uses this memory", "free it when the move has ended");
    return free();
  }
  /// Lets nobody in any more and waits until all have left, which they do as soon as they can.
  void close() {
    std::unique_lock lock(mutex_);
    closing_.store(true);
    left_.wait(lock, [this] { return inside_.empty(); });
  }
  bool closing() const noexcept { return closing_.load(std::memory_order_relaxed); }

 private:
  std::mutex mutex_;
  std::condition_variable left_;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> inside_;  ///< addresses and bytes
  std::atomic<bool> closing_{false};
};

}  // namespace troupe::platform::common

#pragma once

#include <atomic>
#include <cstdint>

namespace troupe::actors {

/// What keeps the buffers of a run's tasks; requests carry it. It tells whether lost bytes may still be made
/// again on behalf of the run: afterwards its buffers are the user's. Thread-safe.
class RunHold {
 public:
  RunHold() = default;
  RunHold(const RunHold&) = delete;
  RunHold& operator=(const RunHold&) = delete;
  virtual ~RunHold() = default;

  /// A task is about to be run again. False: the run is over, or was given up.
  bool begin_remake() noexcept {
    if (given_up_.load()) return false;
    auto now = under_way_.load();
    while (now >= 0) {
      if (under_way_.compare_exchange_weak(now, now + 1)) return true;
    }
    return false;
  }
  void end_remake(bool made) noexcept {
    if (made) remade_.fetch_add(1);
    if (under_way_.load() > 0) under_way_.fetch_sub(1);
  }
  /// The run is about to be over. False: not yet, something is being made again.
  bool close() noexcept {
    std::int64_t none = 0;
    return under_way_.compare_exchange_strong(none, -1) || none < 0;
  }
  /// Nothing more is made again for it: nobody would end a kernel that does not return.
  void give_up() noexcept { given_up_.store(true); }
  /// The run is over, whatever is under way.
  void abandon() noexcept { under_way_.store(-1); }
  bool is_open() const noexcept { return under_way_.load() >= 0 && !given_up_.load(); }
  /// Tasks that were run again to the end.
  std::uint64_t remade() const noexcept { return remade_.load(); }

 private:
  std::atomic<std::int64_t> under_way_{0};  ///< -1: closed
  std::atomic<std::uint64_t> remade_{0};
  std::atomic<bool> given_up_{false};
};

}  // namespace troupe::actors

#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "troupe/runtime/module_abi.h"

namespace troupe::platform::sim {

/// What a kernel waits for: `*flag compare value`.
struct FlagCondition {
  const void* flag = nullptr;
  std::uint32_t type = TROUPE_FLAG_I32;
  std::uint32_t compare = TROUPE_EQUAL;
  std::uint64_t value = 0;

  bool holds() const noexcept;
};
std::string to_string(const FlagCondition& condition);
/// Sets or adds to a flag, released to who sees the new value.
void raise_flag(void* flag, std::uint32_t type, std::uint32_t operation, std::uint64_t value) noexcept;

/// The waits of one run's kernels on flags in the chip's own memory. Only kernels of the same run can raise
/// such a flag, so the run knows exactly when nobody can any more: every kernel that runs is parked here, and
/// none can start. Safe from any thread.
class FlagWaits {
 public:
  enum class End : std::uint32_t { waiting, satisfied, aborted, deadlocked };

  /// Looks at the flag a bounded number of times; true when the condition was seen.
  static bool spin(const FlagCondition& condition) noexcept;
  /// Parks until the condition holds or everything ends. `before_parking()` runs once, when this wait counts
  /// as parked already.
  template <class BeforeParking>
  End wait(const FlagCondition& condition, BeforeParking before_parking) {
    Waiter self{condition};
    if (!enter(self)) return static_cast<End>(self.state.load());
    before_parking();
    park(self);
    return static_cast<End>(self.state.load());
  }
  /// raise_flag, and wakes whose condition holds now.
  void notify(void* flag, std::uint32_t type, std::uint32_t operation, std::uint64_t value) noexcept;

  /// Ends every wait, now and later, until reset.
  void end_all(End how) noexcept;
  void reset() noexcept;
  /// Waits that nothing has satisfied yet.
  std::uint32_t parked() const noexcept { return parked_.load(); }
  /// What they wait for, one clause each.
  std::string describe() const;

 private:
  struct Waiter {
    explicit Waiter(const FlagCondition& wanted) : condition(wanted) {}
    FlagCondition condition;
    std::atomic<std::uint32_t> state{0};  ///< an End; the word it sleeps on
  };
  bool enter(Waiter& waiter);
  static void park(Waiter& waiter) noexcept;
  void leave(Waiter& waiter, End how) noexcept;  // with the mutex held

  mutable std::mutex mutex_;
  std::vector<Waiter*> waiters_;
  std::atomic<std::uint32_t> parked_{0};
  End ended_ = End::waiting;
};

}  // namespace troupe::platform::sim

#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "troupe/runtime/module_abi.h"

namespace troupe::platform::sim {

/// Where a flag lies, as its user knows it. One word, so that a status may be read while it changes.
class FlagPlace {
 public:
  FlagPlace() = default;
  /// None of the others: just an address.
  static FlagPlace memory(const void* flag) noexcept {
    return FlagPlace(0, 0, static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(flag)));
  }
  /// `offset` counts elements.
  static FlagPlace argument(std::uint32_t number, std::uint64_t offset) noexcept {
    return FlagPlace(1, number, offset);
  }
  /// `offset` counts bytes.
  static FlagPlace window(std::uint32_t rank, std::uint64_t offset) noexcept {
    return FlagPlace(2, rank, offset);
  }
  static FlagPlace from_word(std::uint64_t word) noexcept {
    FlagPlace place;
    place.word_ = word;
    return place;
  }
  std::uint64_t word() const noexcept { return word_; }

 private:
  static constexpr std::uint32_t kind_shift = 62, number_shift = 48;
  FlagPlace(std::uint64_t kind, std::uint64_t number, std::uint64_t offset) noexcept
      : word_(kind << kind_shift | (number & ((1U << (kind_shift - number_shift)) - 1)) << number_shift |
              (offset & ((std::uint64_t{1} << number_shift) - 1))) {}
  friend std::string to_string(FlagPlace place);

  std::uint64_t word_ = 0;
};
/// "element 0 of tensor argument 1", "byte 64 of the window of rank 2", "0x7f…".
std::string to_string(FlagPlace place);

/// A flag type beside those that kernels wait for: what foreign kernels count with.
inline constexpr std::uint32_t flag_u32 = 0x100;
/// Foreign code raises flags by plain stores, which nobody hears of: who waits for them looks so often.
inline constexpr std::uint32_t look_microseconds = 1'000;

/// How long something is waited for that only code outside of the run can bring about.
class Patience {
 public:
  virtual bool is_over() noexcept = 0;

 protected:
  ~Patience() = default;
};

/// What a kernel waits for: `*flag compare value`.
struct FlagCondition {
  const void* flag = nullptr;
  std::uint32_t type = TROUPE_FLAG_I32;
  std::uint32_t compare = TROUPE_EQUAL;
  std::uint64_t value = 0;
  FlagPlace place = {};          ///< for people
  bool deferred = false;         ///< by foreign code, so that a plain store may raise it
  Patience* patience = nullptr;  ///< of a deferred one; null: for as long as it takes

  bool holds() const noexcept;
};
std::string to_string(const FlagCondition& condition);
/// Sets or adds to a flag, released to who sees the new value.
void raise_flag(void* flag, std::uint32_t type, std::uint32_t operation, std::uint64_t value) noexcept;

/// Writes bytes that a kernel may be looking at as a flag: whole words at once.
void store_visibly(void* target, const void* data, std::size_t size) noexcept;

/// The waits of one run's kernels on flags in the chip's memory. A *closed* wait is on memory that only
/// kernels of the same run can reach (copies of arguments, intermediates), so the run knows exactly when
/// nobody can raise the flag any more: every kernel that runs is parked in a closed wait, and none can start.
/// A flag in memory that the host holds may be raised by a copy. Safe from any thread.
class FlagWaits {
 public:
  enum class End : std::uint32_t { waiting, satisfied, aborted, deadlocked, given_up };

  /// Looks at the flag a bounded number of times; true when the condition was seen.
  static bool spin(const FlagCondition& condition) noexcept;
  /// Parks until the condition holds or everything ends. `before_parking()` runs once, when this wait counts
  /// as parked already.
  template <class BeforeParking>
  End wait(const FlagCondition& condition, bool closed, BeforeParking before_parking) {
    Waiter self{condition, closed};
    if (!enter(self)) return static_cast<End>(self.state.load());
    before_parking();
    park(self);
    return static_cast<End>(self.state.load());
  }
  /// raise_flag, and wakes whose condition holds now.
  void notify(void* flag, std::uint32_t type, std::uint32_t operation, std::uint64_t value) noexcept;

  /// The host has written to memory: wakes whose condition holds now.
  void look_again() noexcept;

  /// Ends every wait, now and later, until reset.
  void end_all(End how) noexcept;
  /// The same for those that no kernel is inside of: what was deferred, when nobody needs it any more.
  void end_deferred() noexcept;
  bool deferred_ended() const noexcept { return deferred_ended_.load(); }
  void reset() noexcept;
  /// Closed waits that nothing has satisfied yet.
  std::uint32_t closed() const noexcept { return closed_.load(); }
  /// What they wait for, one clause each.
  std::string describe() const;

 private:
  struct Waiter {
    Waiter(const FlagCondition& wanted, bool is_closed) : condition(wanted), closed(is_closed) {}
    FlagCondition condition;
    bool closed;
    std::atomic<std::uint32_t> state{0};  ///< an End; the word it sleeps on
  };
  bool enter(Waiter& waiter);
  void park(Waiter& waiter) noexcept;
  void give_up(Waiter& waiter) noexcept;
  void leave(Waiter& waiter, End how) noexcept;  // with the mutex held

  mutable std::mutex mutex_;
  std::vector<Waiter*> waiters_;
  std::atomic<std::uint32_t> parked_{0}, closed_{0};
  std::atomic<bool> deferred_ended_{false};
  End ended_ = End::waiting;
};

}  // namespace troupe::platform::sim

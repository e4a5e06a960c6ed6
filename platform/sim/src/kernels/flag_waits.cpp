#include "kernels/flag_waits.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <thread>

#include "common.hpp"
#include "threads/threads.hpp"
#include "troupe/runtime/compare.hpp"

namespace troupe::platform::sim {

namespace {

// Flags are plain memory of kernels; the cast gives them back their atomicity. Sequentially consistent, so
// that a waiter that counted itself and a notifier that looks at the count cannot miss each other.
template <class T>
std::atomic_ref<T> atomic(const void* flag) noexcept {
  return std::atomic_ref<T>(*static_cast<T*>(const_cast<void*>(flag)));  // NOLINT(*-const-cast)
}

template <class T>
void raise(void* flag, std::uint32_t operation, T value) noexcept {
  if (operation == TROUPE_NOTIFY_ADD) {
    atomic<T>(flag).fetch_add(value);
  } else {
    atomic<T>(flag).store(value);
  }
}

constexpr int wait_spins = 256;

}  // namespace

bool FlagCondition::holds() const noexcept {
  if (type == TROUPE_FLAG_I32) {
    return runtime::compares(atomic<std::int32_t>(flag).load(), runtime::Compare{compare},
                             static_cast<std::int32_t>(value));
  }
  if (type == flag_u32) {
    return runtime::compares(atomic<std::uint32_t>(flag).load(), runtime::Compare{compare},
                             static_cast<std::uint32_t>(value));
  }
  return runtime::compares(atomic<std::uint64_t>(flag).load(), runtime::Compare{compare}, value);
}

std::string to_string(FlagPlace place) {
  const std::uint64_t offset = place.word_ & ((std::uint64_t{1} << FlagPlace::number_shift) - 1);
  const std::uint64_t number = place.word_ >> FlagPlace::number_shift &
                               ((1U << (FlagPlace::kind_shift - FlagPlace::number_shift)) - 1);
  switch (place.word_ >> FlagPlace::kind_shift) {
    case 1:
      return "element " + std::to_string(offset) + " of tensor argument " + std::to_string(number);
    case 2:
      return "byte " + std::to_string(offset) + " of the window of rank " + std::to_string(number);
    default: {
      char text[32];
      std::snprintf(text, sizeof text, "0x%llx", static_cast<unsigned long long>(offset));
      return text;
    }
  }
}

std::string to_string(const FlagCondition& condition) {
  static constexpr const char* signs[] = {"==", "!=", ">", ">=", "<", "<="};
  return "flag at " + to_string(condition.place) + " " +
         (condition.compare < 6 ? signs[condition.compare] : "?") + " " +
         std::to_string(static_cast<std::int64_t>(condition.value));
}

void raise_flag(void* flag, std::uint32_t type, std::uint32_t operation, std::uint64_t value) noexcept {
  if (type == TROUPE_FLAG_I32) {
    raise<std::int32_t>(flag, operation, static_cast<std::int32_t>(value));
  } else {
    raise<std::uint64_t>(flag, operation, value);
  }
}

void store_visibly(void* target, const void* data, std::size_t size) noexcept {
  const auto address = reinterpret_cast<std::uintptr_t>(target);
  if (size == sizeof(std::uint32_t) && address % size == 0) {
    std::uint32_t word = 0;
    std::memcpy(&word, data, size);
    atomic<std::uint32_t>(target).store(word);
  } else if (size == sizeof(std::uint64_t) && address % size == 0) {
    std::uint64_t word = 0;
    std::memcpy(&word, data, size);
    atomic<std::uint64_t>(target).store(word);
  } else {
    std::memcpy(target, data, size);
  }
}

bool FlagWaits::spin(const FlagCondition& condition) noexcept {
  if (condition.holds()) return true;
  if (std::thread::hardware_concurrency() < 2) return false;
  for (int look = 0; look < wait_spins; ++look) {
    spin_pause();
    if (condition.holds()) return true;
  }
  return false;
}

bool FlagWaits::enter(Waiter& waiter) {
  const std::lock_guard lock(mutex_);
  const bool given_up = waiter.condition.deferred && deferred_ended();
  if (const End end = given_up ? End::aborted : ended_; end != End::waiting) {
    waiter.state.store(static_cast<std::uint32_t>(end));
    return false;
  }
  waiters_.push_back(&waiter);
  parked_.fetch_add(1);
  if (waiter.closed) closed_.fetch_add(1);
  if (!waiter.condition.holds()) return true;
  leave(waiter, End::satisfied);
  waiters_.pop_back();
  return false;
}

void FlagWaits::leave(Waiter& waiter, End how) noexcept {
  parked_.fetch_sub(1);
  if (waiter.closed) closed_.fetch_sub(1);
  waiter.state.store(static_cast<std::uint32_t>(how));
  futex_wake(waiter.state, 1);
}

void FlagWaits::park(Waiter& waiter) noexcept {
  constexpr auto waiting = static_cast<std::uint32_t>(End::waiting);
  while (waiter.state.load() == waiting) {
    if (!waiter.condition.deferred) {
      futex_wait(waiter.state, waiting);
      continue;
    }
    futex_wait(waiter.state, waiting, look_microseconds);
    if (waiter.condition.holds()) {
      look_again();
    } else if (waiter.condition.patience != nullptr && waiter.condition.patience->is_over()) {
      give_up(waiter);
    }
  }
}

void FlagWaits::give_up(Waiter& waiter) noexcept {
  const std::lock_guard lock(mutex_);
  if (std::erase(waiters_, &waiter) != 0) leave(waiter, End::given_up);
}

void FlagWaits::notify(void* flag, std::uint32_t type, std::uint32_t operation,
                       std::uint64_t value) noexcept {
  raise_flag(flag, type, operation, value);
  look_again();
}

void FlagWaits::look_again() noexcept {
  if (parked_.load() == 0) return;
  const std::lock_guard lock(mutex_);
  std::erase_if(waiters_, [this](Waiter* waiter) {
    if (!waiter->condition.holds()) return false;
    leave(*waiter, End::satisfied);
    return true;
  });
}

void FlagWaits::end_all(End how) noexcept {
  const std::lock_guard lock(mutex_);
  if (ended_ == End::waiting) ended_ = how;
  for (auto* waiter : waiters_) leave(*waiter, how);
  waiters_.clear();
}

void FlagWaits::end_deferred() noexcept {
  const std::lock_guard lock(mutex_);
  deferred_ended_.store(true);
  std::erase_if(waiters_, [this](Waiter* waiter) {
    if (!waiter->condition.deferred) return false;
    leave(*waiter, End::aborted);  // from here on it may be gone
    return true;
  });
}

void FlagWaits::reset() noexcept {
  const std::lock_guard lock(mutex_);
  deferred_ended_.store(false);
  ended_ = End::waiting;
}

std::string FlagWaits::describe() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto* waiter : waiters_) {
    if (!text.empty()) text += "; ";
    text += to_string(waiter->condition);
  }
  return text;
}

}  // namespace troupe::platform::sim

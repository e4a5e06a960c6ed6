#pragma once

// A number that a plan takes anew with each replay. Plain values, made and copied on any thread.
// Errors: none here.

#include <cstdint>
#include <type_traits>

#include "troupe/runtime/scalar.hpp"

namespace troupe::actors {
namespace detail {
struct SlotAccess;
}

/// The type of a program's parameter that a plan can be replayed with another value of:
/// `void layer(Orchestrator& node, Tensor x, Slot<float> r) { node.submit("scale", inout(x), scalar(r)); }`.
/// A program can only pass it on, so it cannot decide what it submits; a parameter that does is a plain
/// number, and stays what it was when the plan was recorded.
template <runtime::Scalar T>
class Slot {
 public:
  using value_type = T;
  Slot() = default;
  Slot(T value) : value_(value) {}  // NOLINT(google-explicit-constructor): a number is one

 private:
  friend struct detail::SlotAccess;
  T value_{};
  std::int32_t number_ = -1;  ///< of the parameter, while its program is recorded
};

namespace detail {

template <class T>
inline constexpr bool is_slot = false;
template <class T>
inline constexpr bool is_slot<Slot<T>> = true;

struct SlotAccess {
  template <class T>
  static T value(const Slot<T>& slot) {
    return slot.value_;
  }
  template <class T>
  static std::int32_t& number(Slot<T>& slot) {
    return slot.number_;
  }
  template <class T>
  static std::int32_t number(const Slot<T>& slot) {
    return slot.number_;
  }
};

/// A scalar argument of a task that is a slot.
struct SlotScalar {
  runtime::ScalarArg arg;
  std::int32_t slot = -1;  ///< -1: nothing is being recorded
};
/// Which scalar of a task is which slot.
struct SlotUse {
  std::uint32_t scalar = 0;
  std::int32_t slot = -1;
};

}  // namespace detail

template <class T>
detail::SlotScalar scalar(const Slot<T>& slot) {
  return {runtime::scalar(detail::SlotAccess::value(slot)), detail::SlotAccess::number(slot)};
}

}  // namespace troupe::actors

#pragma once

// Times that callers give, in any unit. Values, safe on any thread, no errors.

#include <chrono>
#include <type_traits>

namespace troupe::runtime {

/// A std::chrono duration that is made of any other one without overflow: what is longer than it can hold (as
/// nanoseconds: 292 years) is its `max()`, which stands for ever; what is further in the past its `min()`.
/// std::chrono converts `hours::max()` to some number of nanoseconds, maybe a negative one. No number (NaN)
/// is `min()`, which whoever takes no negative times refuses. Real numbers of seconds are taken, too.
template <class Unit>
class Saturated : public Unit {
 public:
  constexpr Saturated() noexcept : Unit(Unit::zero()) {}
  template <class Number, class Period>
  constexpr Saturated(std::chrono::duration<Number, Period> value) noexcept : Unit(nearest(value)) {}

 private:
  template <class Number, class Period>
  static constexpr Unit nearest(std::chrono::duration<Number, Period> value) noexcept {
    if constexpr (std::is_same_v<std::chrono::duration<Number, Period>, Unit>) {
      return value;
    } else {
      // Compared as real numbers: as ticks of this unit, the value may have overflowed already.
      using Wide = std::chrono::duration<long double, typename Unit::period>;
      if (Wide(value) >= Wide(Unit::max())) return Unit::max();
      return Wide(value) > Wide(Unit::min()) ? std::chrono::duration_cast<Unit>(value) : Unit::min();
    }
  }
};

using Nanoseconds = Saturated<std::chrono::nanoseconds>;
using Milliseconds = Saturated<std::chrono::milliseconds>;

}  // namespace troupe::runtime

#pragma once

// How long "for ever" is, for clocks that would overflow otherwise. Pure functions, safe on any thread, no
// errors.

#include <chrono>

namespace troupe::runtime {

/// As good as for ever, and short enough to be added to the time of any clock: the sum with a longer time
/// would overflow and lie in the past.
inline constexpr std::chrono::nanoseconds longest_wait = std::chrono::hours(24 * 365 * 100);

/// The time to wait when a user asked for `wait`, in whatever unit: `nanoseconds::max()` is for ever.
template <class Rep, class Period>
constexpr std::chrono::nanoseconds bounded(std::chrono::duration<Rep, Period> wait) {
  // Compared as real numbers: as nanoseconds, hours::max() would overflow here already.
  const std::chrono::duration<double> seconds = wait;
  if (seconds >= longest_wait) return longest_wait;
  if (seconds <= -longest_wait) return -longest_wait;
  return std::chrono::duration_cast<std::chrono::nanoseconds>(wait);
}

}  // namespace troupe::runtime

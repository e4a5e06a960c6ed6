#pragma once

#include <algorithm>
#include <cstdint>

namespace troupe::platform::isolation {

/// Whether the other end of a link is there: any byte from it is a sign of life, and it gets one of us before
/// it may think that we are gone. Plain state; times are nanoseconds of any clock.
class Pulse {
 public:
  enum class Due : std::uint8_t { nothing, sign, over };

  /// Nobody asks.
  Pulse() = default;
  /// After so long without a byte it is over, here or at the other end.
  Pulse(std::uint64_t bound, std::uint64_t bound_there, std::uint64_t now)
      : bound_(bound), interval_(interval(bound_there)), heard_(now), said_(now) {}

  void heard(std::uint64_t now) {
    heard_ = now;
    doubt_ = false;
  }
  void said(std::uint64_t now) { said_ = now; }

  /// When to ask again what is due; 0: never.
  std::uint64_t next() const { return bound_ == 0 ? 0 : std::min(said_ + interval_, heard_ + bound_); }

  /// After all that had come was heard. Who was stopped himself listens once more before he gives the other
  /// up.
  Due due(std::uint64_t now) {
    if (bound_ == 0) return Due::nothing;
    if (now >= heard_ + bound_) {
      if (doubt_) return Due::over;
      doubt_ = true;
    }
    return now >= said_ + interval_ ? Due::sign : Due::nothing;
  }
  /// Over, unless something is heard: to be asked again at once.
  bool in_doubt() const { return doubt_; }
  /// So often there is a sign, for who gives up after `bound`.
  static std::uint64_t interval(std::uint64_t bound) { return std::max<std::uint64_t>(bound / 4, 1); }

 private:
  std::uint64_t bound_ = 0, interval_ = 1, heard_ = 0, said_ = 0;
  bool doubt_ = false;
};

}  // namespace troupe::platform::isolation

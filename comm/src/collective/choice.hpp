#pragma once

// Which algorithm an all_reduce takes when nobody said. Shared by host and kernels.

#include "collective/staged.hpp"

namespace troupe::comm::collective {

enum class Algorithm : std::uint8_t { automatic, one_phase, two_phase, ring, bidirectional_ring };

/// Below, everything is small enough that waiting once is worth reading everything everywhere: bytes that
/// each rank may read in all. Measured on two cores with 2 and 4 ranks; staged, the alternative also copies
/// twice, and with more than two ranks a wait costs more than its bytes.
inline constexpr std::size_t one_phase_pair_in_windows = 4096;
inline constexpr std::size_t one_phase_bytes_in_windows = 16384;
inline constexpr std::size_t one_phase_bytes_staged = 24576;

template <Signals S>
Algorithm choose(const Team<S>& team, std::size_t bytes, bool staged) noexcept {
  const std::size_t limit = staged              ? one_phase_bytes_staged
                            : team.ranks() == 2 ? one_phase_pair_in_windows
                                                : one_phase_bytes_in_windows;
  const bool small = bytes <= limit / team.ranks() && bytes <= team.half_bytes();
  return small ? Algorithm::one_phase : Algorithm::two_phase;
}

}  // namespace troupe::comm::collective

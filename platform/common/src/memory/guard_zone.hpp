#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace troupe::platform::common {

/// So many bytes around what a kernel may use are looked at on a checked chip. Behind them comes, where sizes
/// allow, memory that faults.
inline constexpr std::size_t guard_bytes = 512;
/// What guards are filled with: no likely value of anything, so that what is written there is seen.
inline constexpr unsigned char guard_byte = 0xCA;

/// What something wrote next to a piece of memory: bytes counted from 1, away from it; `between`: offsets
/// from its first byte.
struct Overstep {
  enum class Where : std::uint8_t { before, behind, between } where;
  std::uint64_t nearest, farthest;
};

/// Bytes [begin, end) that nobody may write.
struct GuardZone {
  std::uint64_t begin, end;

  void fill() const noexcept;
  /// What was written into it, from the first to the last byte; the zone is as new afterwards.
  std::optional<GuardZone> take_damage() const noexcept;
};

/// The first damage in a zone that ends where memory begins, or begins where it ends.
std::optional<Overstep> damage_before(GuardZone zone) noexcept;
std::optional<Overstep> damage_behind(GuardZone zone) noexcept;

}  // namespace troupe::platform::common

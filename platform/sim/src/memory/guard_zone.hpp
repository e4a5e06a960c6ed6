#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "troupe/runtime/error.hpp"
#include "troupe/runtime/task_args.hpp"

namespace troupe::platform::sim {

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

/// The first argument next to whose memory something was written, those that may be written before the
/// others: what lies around an input is more likely another one's doing. `look(i)`: what was written next to
/// argument i.
template <class Look>
std::optional<std::pair<std::uint32_t, Overstep>> first_overstep(const runtime::Tag* tags,
                                                                 std::uint32_t count, Look look) {
  for (const bool writes : {true, false}) {
    for (std::uint32_t i = 0; i < count; ++i) {
      if (runtime::writes(tags[i]) != writes) continue;
      if (const std::optional<Overstep> found = look(i)) return std::pair(i, *found);
    }
  }
  return std::nullopt;
}

/// "kernel 'k' wrote past the end of tensor 1: byte 1 behind it". `who`: "kernel 'k'", or who else it may
/// have been.
Error overstepped(const std::string& who, std::uint32_t tensor, const Overstep& what);

}  // namespace troupe::platform::sim

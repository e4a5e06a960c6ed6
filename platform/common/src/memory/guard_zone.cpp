#include "memory/guard_zone.hpp"

#include <cstring>

#include "memory/addresses.hpp"

namespace troupe::platform::common {

void GuardZone::fill() const noexcept {
  if (begin < end) std::memset(pointer(begin), guard_byte, end - begin);
}

std::optional<GuardZone> GuardZone::take_damage() const noexcept {
  if (begin >= end) return std::nullopt;
  const auto* bytes = pointer<const unsigned char>(begin);
  const std::size_t size = end - begin;
  if (bytes[0] == guard_byte && std::memcmp(bytes, bytes + 1, size - 1) == 0) return std::nullopt;
  GuardZone damage = *this;
  while (*pointer<const unsigned char>(damage.begin) == guard_byte) ++damage.begin;
  while (*pointer<const unsigned char>(damage.end - 1) == guard_byte) --damage.end;
  fill();
  return damage;
}

std::optional<Overstep> damage_before(GuardZone zone) noexcept {
  const auto damage = zone.take_damage();
  if (!damage) return std::nullopt;
  return Overstep{Overstep::Where::before, zone.end - damage->end + 1, zone.end - damage->begin};
}

std::optional<Overstep> damage_behind(GuardZone zone) noexcept {
  const auto damage = zone.take_damage();
  if (!damage) return std::nullopt;
  return Overstep{Overstep::Where::behind, damage->begin - zone.begin + 1, damage->end - zone.begin};
}

}  // namespace troupe::platform::common

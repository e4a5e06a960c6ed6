#include "guard_zone.hpp"

#include <cstring>

#include "addresses.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

void GuardZone::fill(unsigned char with) const noexcept {
  if (begin < end) std::memset(pointer(begin), with, end - begin);
}

std::optional<GuardZone> GuardZone::take_damage(unsigned char filled_with) const noexcept {
  if (begin >= end) return std::nullopt;
  const auto* bytes = pointer<const unsigned char>(begin);
  const std::size_t size = end - begin;
  if (bytes[0] == filled_with && std::memcmp(bytes, bytes + 1, size - 1) == 0) return std::nullopt;
  GuardZone damage = *this;
  while (*pointer<const unsigned char>(damage.begin) == filled_with) ++damage.begin;
  while (*pointer<const unsigned char>(damage.end - 1) == filled_with) --damage.end;
  fill(filled_with);
  return damage;
}

std::optional<Overstep> damage_before(GuardZone zone, unsigned char filled_with) noexcept {
  const auto damage = zone.take_damage(filled_with);
  if (!damage) return std::nullopt;
  return Overstep{Overstep::Where::before, zone.end - damage->end + 1, zone.end - damage->begin};
}

std::optional<Overstep> damage_behind(GuardZone zone, unsigned char filled_with) noexcept {
  const auto damage = zone.take_damage(filled_with);
  if (!damage) return std::nullopt;
  return Overstep{Overstep::Where::behind, damage->begin - zone.begin + 1, damage->end - zone.begin};
}

Error overstepped(const std::string& who, std::uint32_t tensor, const Overstep& what) {
  const std::string name = "tensor " + std::to_string(tensor);
  std::string bytes = what.nearest == what.farthest ? "byte " : "bytes ";
  bytes += std::to_string(what.nearest);
  if (what.nearest != what.farthest) bytes += " to " + std::to_string(what.farthest);
  const char* hint = "does it take its bounds from the tensor's descriptor?";
  switch (what.where) {
    case Overstep::Where::before:
      return Error(Errc::kernel_failed,
                   who + " wrote before the beginning of " + name + ": " + bytes + " in front of it", hint);
    case Overstep::Where::behind:
      return Error(Errc::kernel_failed, who + " wrote past the end of " + name + ": " + bytes + " behind it",
                   hint);
    default:
      return Error(Errc::kernel_failed,
                   who + " wrote between the elements of " + name + ", which is a view: " + bytes +
                       " from its beginning",
                   "the elements of a view are strides apart");
  }
}

}  // namespace troupe::platform::sim

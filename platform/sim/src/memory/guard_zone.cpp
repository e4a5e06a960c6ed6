#include "memory/guard_zone.hpp"

#include <cstring>

#include "memory/addresses.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

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

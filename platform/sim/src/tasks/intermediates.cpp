#include "tasks/intermediates.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

namespace troupe::platform::sim {

namespace {
constexpr int poison_byte = 0xFF;  // a NaN in every float type
}  // namespace

Result<runtime::BufferRef> Intermediates::make(std::uint64_t bytes) {
  auto buffer = graph_->alloc(bytes);
  if (!buffer) return buffer;
  if (buffer->offset >= made_.size())
    made_.resize(std::max<std::size_t>(buffer->offset + 1, made_.size() * 2));
  made_[buffer->offset] = {.bytes = bytes};
  return buffer;
}

std::uint64_t Intermediates::allocate_arena(std::optional<Error>& refusal) {
  auto memory = memory_.allocate_internal(arena_bytes_, "intermediates",
                                          {.shift = 0, .room = checked_ ? arena_bytes_ : 0});
  if (memory) return *memory;
  refusal = memory.error();
  return 0;
}

void Intermediates::grow(std::uint64_t arena_bytes) noexcept {
  for (auto& address : arenas_) {
    if (address != 0) memory_.release_internal(std::exchange(address, 0));
  }
  arena_bytes_ = arena_bytes;
}

// Memory that was just given is not to be mistaken for zeros by a kernel that forgets to write it.
void Intermediates::poison(Made& made, std::uint64_t address, const runtime::Placement& placed) {
  static_assert(runtime::limits::block_alignment >= 2 * guard_bytes);
  if (!std::exchange(made.fresh, false)) return;
  std::memset(pointer(address), poison_byte, made.bytes);
  GuardZone{address + made.bytes, address + placed.bytes + guard_bytes}.fill();
  GuardZone{address - guard_bytes, address}.fill();
}

void Intermediates::Places::clear() noexcept {
  for (const std::size_t block : used_) all_[block] = {};
  used_.clear();
}

void Intermediates::Places::set(std::size_t block, const runtime::BufferRef& buffer) {
  if (block >= all_.size()) all_.resize(std::max(block + 1, all_.size() * 2));
  if (!all_[block].allocated()) used_.push_back(block);
  all_[block] = buffer;
}

const runtime::BufferRef* Intermediates::Places::at_or_below(std::size_t& block) const noexcept {
  if (all_.empty()) return nullptr;
  block = std::min(block, all_.size() - 1);
  while (block != 0 && !all_[block].allocated()) --block;
  return all_[block].allocated() ? &all_[block] : nullptr;
}

std::uint64_t Intermediates::locate(const runtime::BufferRef& buffer, std::optional<Error>& refusal) {
  const auto placed = graph_->placement(buffer);
  const std::uint64_t address = placed ? address_in_arena(*placed, refusal) : 0;
  if (address == 0) return 0;
  if (checked_) poison(made_[buffer.offset], address, *placed);
  places_[placed->arena].set(placed->offset / runtime::limits::block_alignment, buffer);
  return address;
}

std::optional<Intermediates::Located> Intermediates::at(std::uint64_t address) const {
  for (std::size_t arena = 0; arena < arenas_.size(); ++arena) {
    const std::uint64_t base = arenas_[arena], distance = block_distance();
    if (base == 0 || address < base || address - base >= arena_bytes_ * (checked_ ? 2 : 1)) continue;
    std::size_t block = (address - base) / distance;
    while (const auto* buffer = places_[arena].at_or_below(block)) {
      const std::uint64_t begin = base + block * distance;
      const auto placed = graph_->placement(*buffer);
      if (placed && placed->arena == arena && address - begin < placed->bytes)
        return Located{*buffer, begin, made_[buffer->offset].bytes};
      if (placed && placed->arena == arena) return std::nullopt;  // the room behind it
      if (block-- == 0) return std::nullopt;
    }
    return std::nullopt;
  }
  return std::nullopt;
}

std::optional<Overstep> Intermediates::take_overstep(const runtime::BufferRef& buffer,
                                                     std::uint64_t address) {
  const auto placed = graph_->placement(buffer);
  if (!placed) return std::nullopt;
  const std::uint64_t end = address + made_[buffer.offset].bytes;
  auto found = damage_behind({end, address + placed->bytes + guard_bytes});
  return found ? found : damage_before({address - guard_bytes, address});
}

}  // namespace troupe::platform::sim

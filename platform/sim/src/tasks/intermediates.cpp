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

// Memory that was just given is not to be mistaken for zeros by a kernel that forgets to write it.
void Intermediates::poison(Made& made, std::uint64_t address, const runtime::Placement& placed) {
  static_assert(runtime::limits::block_alignment >= 2 * guard_bytes);
  if (!std::exchange(made.fresh, false)) return;
  std::memset(pointer(address), poison_byte, made.bytes);
  GuardZone{address + made.bytes, address + placed.bytes + guard_bytes}.fill();
  GuardZone{address - guard_bytes, address}.fill();
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

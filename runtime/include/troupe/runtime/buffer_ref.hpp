#pragma once

// The name of a piece of memory, as it travels in tensors. It owns nothing and keeps nothing alive. A plain
// 16-byte value, safe on any thread. It cannot fail; a reference that is out of date is refused by the owner
// of its arena, when it is used.

#include <cstddef>
#include <cstdint>

namespace troupe::runtime {

/// Names memory without owning it: arena 0 is the process's own address space (the offset is the address);
/// every other arena number was given out by its owner (a host arena, a device's memory, a graph's
/// intermediates). Only the owner turns the reference into an address, at dispatch. The generation tells a
/// reused place from the one that was meant: an owner refuses a reference whose generation is not the current
/// one. The all-zero reference means "not allocated (yet)".
struct BufferRef {
  std::uint32_t arena = 0;
  std::uint32_t generation = 0;
  std::uint64_t offset = 0;

  static BufferRef host(const void* address) noexcept {
    return {0, 0, static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(address))};
  }
  constexpr bool allocated() const noexcept { return arena != 0 || offset != 0; }
  constexpr bool is_host() const noexcept { return arena == 0 && offset != 0; }

  friend constexpr bool operator==(const BufferRef&, const BufferRef&) noexcept = default;
};

static_assert(sizeof(BufferRef) == 16);

/// For hash maps keyed by buffer.
struct BufferRefHash {
  constexpr std::size_t operator()(const BufferRef& ref) const noexcept {
    const std::uint64_t owner = static_cast<std::uint64_t>(ref.arena) << 32U | ref.generation;
    std::uint64_t mixed = (ref.offset ^ owner * 0x9E3779B97F4A7C15ULL) * 0xFF51AFD7ED558CCDULL;
    mixed ^= mixed >> 32U;
    return static_cast<std::size_t>(mixed);
  }
};

}  // namespace troupe::runtime

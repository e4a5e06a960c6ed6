#pragma once

#include <cstdint>

#include "chip/device_in_use.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::actors {

/// Bytes that do not go straight from where they are to where they belong go through a buffer, which is best
/// read again while the cache has it.
constexpr std::uint64_t stage_piece = 256ULL << 10U;

/// Bytes of a buffer with gaps between them, to the chip's memory or from it. Those of the call's `but` are
/// left as they are.
Result<void> move_strided(DeviceInUse& device, const MemoryCall& call, bool to_chip);

}  // namespace troupe::actors

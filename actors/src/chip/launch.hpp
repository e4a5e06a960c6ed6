#pragma once

#include "chip/copies.hpp"
#include "data/data.hpp"
#include "troupe/platform/device_abi.h"

namespace troupe::actors {

/// The argument as the device takes it, in a buffer that begins there.
troupe_tensor_arg argument_of(const Operand& arg, std::uint64_t buffer, bool on_chip);

/// The argument lies in the copy of a piece of its buffer.
inline void move_into(troupe_tensor_arg& slot, const Copy& copy, std::size_t element_bytes) {
  const auto& box = copy.piece.box;
  slot.buffer_bytes = copy.bytes;
  slot.start_offset = packed_offset(box, slot.start_offset * element_bytes) / element_bytes;
  for (std::size_t i = 0; i < slot.ndims && box.rank > 0; ++i) {
    slot.strides[i] =
        static_cast<std::uint32_t>(packed_stride(box, slot.strides[i] * element_bytes) / element_bytes);
  }
}

}  // namespace troupe::actors

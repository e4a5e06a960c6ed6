#pragma once

#include <cstring>

#include "troupe/platform/chip_program_abi.h"
#include "troupe/runtime/tensor.hpp"

namespace troupe::platform::sim {

static_assert(sizeof(troupe_chip_tensor_v1) == sizeof(runtime::Tensor));

/// A tensor as it crosses the border to a chip program: the same bytes.
inline void pack(const runtime::Tensor& tensor, troupe_chip_tensor_v1& packed) noexcept {
  std::memcpy(&packed, static_cast<const void*>(&tensor), sizeof packed);
}
inline runtime::Tensor unpack(const troupe_chip_tensor_v1& packed) noexcept {
  runtime::Tensor tensor;
  std::memcpy(static_cast<void*>(&tensor), &packed, sizeof tensor);
  return tensor;
}

}  // namespace troupe::platform::sim

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "troupe/platform/device_abi.h"
#include "troupe/runtime/result.hpp"
#include "troupe/runtime/tensor.hpp"

namespace troupe::platform::common {

/// Whether a graph that a host describes is one: its lists are there and add up, its views lie in their slots
/// and write none that is only read, its producers come first. Callables are not looked at.
Result<void> check_graph(const troupe_graph& graph);

/// A view or a slot of a graph as it was said to be, in a buffer that nobody uses and that has as many bytes
/// as it takes.
template <class Said>
Result<runtime::Tensor> described_tensor(const Said& said, std::uint64_t buffer = 0,
                                         std::uint64_t start = 0) {
  std::array<std::uint64_t, runtime::limits::max_dims> extents{}, steps{};
  std::copy_n(said.shape, said.ndims, extents.begin());
  std::copy_n(said.strides, said.ndims, steps.begin());
  const auto shape = runtime::Shape::from({extents.data(), said.ndims});
  if (!shape) return shape.error();
  const auto strides = runtime::Shape::from({steps.data(), said.ndims});
  if (!strides) return strides.error();
  constexpr std::uint64_t all = std::uint64_t{1} << 62U;
  return runtime::Tensor::create_strided({1, 0, buffer}, all, start, *shape, *strides,
                                         static_cast<runtime::DType>(said.dtype));
}

}  // namespace troupe::platform::common

#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "troupe/runtime/access.hpp"
#include "troupe/runtime/limits.hpp"
#include "troupe/runtime/tensor.hpp"

// Boxes of a buffer whose bytes lie elsewhere without the gaps between them: as copies of pieces do.
namespace troupe::actors {

/// Bytes without a gap at each point of a box.
inline std::uint64_t run_of(const runtime::Box& box) {
  auto bytes = box.hi - box.lo;
  for (std::size_t d = 0; d < box.rank; ++d) bytes -= box.strides[d] * (box.extents[d] - 1);
  return bytes;
}

/// Bytes of a box without its gaps.
inline std::uint64_t packed_bytes(const runtime::Box& box) {
  auto bytes = run_of(box);
  for (std::size_t d = 0; d < box.rank; ++d) bytes *= box.extents[d];
  return bytes;
}

/// What a step along each dimension is where there are no gaps.
inline std::array<std::uint64_t, runtime::Box::max_rank> packed_strides(const runtime::Box& box) {
  std::array<std::uint64_t, runtime::Box::max_rank> strides{};
  auto bytes = run_of(box);
  for (auto d = std::size_t{box.rank}; d-- > 0; bytes *= box.extents[d]) strides[d] = bytes;
  return strides;
}

/// Where a byte of the box, which lies `at` bytes into its buffer, is among the packed ones.
inline std::uint64_t packed_offset(const runtime::Box& box, std::uint64_t at) {
  const auto strides = packed_strides(box);
  auto rest = at - box.lo;
  std::uint64_t offset = 0;
  for (std::size_t d = 0; d < box.rank; ++d) {
    offset += rest / box.strides[d] * strides[d];
    rest %= box.strides[d];
  }
  return offset + rest;
}

/// Bytes from one element to the next, where those of the box are packed and the view lies inside it: it has
/// the steps of the box, or multiples of them.
inline std::uint64_t packed_stride(const runtime::Box& box, std::uint64_t stride) {
  const auto strides = packed_strides(box);
  for (std::size_t d = 0; d < box.rank; ++d) {
    if (box.strides[d] <= stride) return stride / box.strides[d] * strides[d];
  }
  return stride;
}

/// Calls `visit(bytes into the buffer, bytes)` for each run without gaps until one fails.
template <class Visit>
Result<void> for_each_run_of(const runtime::Box& box, Visit visit) {
  const auto run = run_of(box);
  std::array<std::uint32_t, runtime::Box::max_rank> at{};
  for (auto offset = box.lo;;) {
    if (Result<void> done = visit(offset, run); !done) return done;
    auto d = std::size_t{box.rank};
    for (; d > 0; --d) {
      offset += box.strides[d - 1];
      if (++at[d - 1] < box.extents[d - 1]) break;
      offset -= std::uint64_t{at[d - 1]} * box.strides[d - 1];
      at[d - 1] = 0;
    }
    if (d == 0) return {};
  }
}

}  // namespace troupe::actors

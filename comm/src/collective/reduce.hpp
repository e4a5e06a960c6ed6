#pragma once

// The arithmetic of the collectives: n arrays in, one result, written to m places. No ranks, no windows.
// On x86 with AVX2 and F16C a vector path runs; it gives the same bits as the portable one.

#include <cstddef>
#include <cstdint>

#include "troupe/runtime/dtype.hpp"

namespace troupe::comm::collective {

using runtime::DType;

enum class Op : std::uint8_t { sum = 0, min = 1, max = 2 };

/// The element types that have arithmetic here.
constexpr bool reducible(DType dtype) noexcept {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16 || dtype == DType::i32;
}
constexpr bool known(Op op) noexcept { return op <= Op::max; }

/// One reduction. Every target gets op(… op(op(source 0, source 1), source 2) …), element by element.
/// Half floats are summed in f32 and rounded once; integers wrap; min and max are `acc < x ? acc : x` and
/// `acc > x ? acc : x`, so with a NaN the later operand wins. A source and a target are either the same array
/// or do not overlap.
struct Reduction {
  DType dtype = DType::f32;  ///< a reducible one
  Op op = Op::sum;
  std::size_t count = 0;
  const void* const* sources = nullptr;
  std::size_t n_sources = 0;
  void* const* targets = nullptr;
  std::size_t n_targets = 0;
  /// Write around the caches: right when the targets are larger than the caches and are not also sources.
  bool streaming = false;
};

void reduce(const Reduction& reduction) noexcept;
/// The same without vector instructions.
void reduce_portable(const Reduction& reduction) noexcept;

/// memcpy that can write around the caches; the ranges are the same or do not overlap.
void copy(void* target, const void* source, std::size_t bytes, bool streaming) noexcept;

}  // namespace troupe::comm::collective

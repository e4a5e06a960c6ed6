#pragma once

// What the collectives must answer, in plain sequential code that shares nothing with them but the dtype
// numbers and the documented order of operations.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "support/random.hpp"
#include "troupe/comm/collectives.hpp"
#include "troupe/runtime/half.hpp"

namespace troupe::comm::test {

using troupe::test::cases;
using troupe::test::first_seed;
using troupe::test::seeds;

using runtime::DType;

/// Every element of every rank, a function of the seed alone: every rank can compute everybody's.
inline std::uint64_t noise(std::uint64_t seed, std::uint64_t rank, std::uint64_t index) {
  std::uint64_t x = seed * 0x9e3779b97f4a7c15u + rank * 0xbf58476d1ce4e5b9u + index + 1;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

inline void put_element(std::byte* to, DType dtype, std::uint64_t bits) {
  // Numbers of different magnitudes, so that the order of additions shows.
  const float scale = 1.0f / static_cast<float>(std::uint64_t{1} << (bits >> 60));
  const float value = (static_cast<float>(bits & 0xffffff) / 8388608.0f - 1.0f) * scale;
  const auto put = [&](auto element) { std::memcpy(to, &element, sizeof(element)); };
  switch (dtype) {
    case DType::f32:
      return put(value);
    case DType::f16:
      return put(runtime::Float16(value));
    case DType::bf16:
      return put(runtime::BFloat16(value));
    case DType::u8:
      return put(static_cast<std::uint8_t>(bits));
    default:
      return put(static_cast<std::int32_t>(bits));
  }
}

/// The array of `rank`.
inline std::vector<std::byte> input(std::uint64_t seed, std::uint32_t rank, std::size_t count, DType dtype) {
  const std::size_t element = runtime::size_of(dtype);
  std::vector<std::byte> bytes(count * element);
  for (std::size_t i = 0; i < count; ++i) {
    put_element(bytes.data() + i * element, dtype, noise(seed, rank, i));
  }
  return bytes;
}

template <class T>
T combined(ReduceOp op, T a, T b) {
  switch (op) {
    case ReduceOp::min:
      return std::min(a, b);
    case ReduceOp::max:
      return std::max(a, b);
    case ReduceOp::sum:
      break;
  }
  if constexpr (std::is_same_v<T, std::int32_t>) {
    return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
  } else {
    return a + b;
  }
}

/// Reduces element `index` over the ranks in the order `first`, first + step, …; halves are rounded after
/// every operation when `round_each`, otherwise once.
template <class Stored, class Value>
Stored reduced(std::uint64_t seed, std::uint32_t ranks, std::size_t index, DType dtype, ReduceOp op,
               std::uint32_t first, std::uint32_t step, bool round_each) {
  const auto element = [&](std::uint32_t rank) {
    std::byte bytes[sizeof(float)];  // room for the widest element, whatever Stored is
    put_element(bytes, dtype, noise(seed, rank, index));
    Stored stored;
    std::memcpy(&stored, bytes, sizeof(stored));
    return static_cast<Value>(stored);
  };
  Value value = element(first);
  for (std::uint32_t i = 1; i < ranks; ++i) {
    value = combined<Value>(op, value, element((first + i * step) % ranks));
    if (round_each) value = static_cast<Value>(static_cast<Stored>(value));
  }
  return static_cast<Stored>(value);
}

inline void put_reduced(std::byte* to, std::uint64_t seed, std::uint32_t ranks, std::size_t index,
                        DType dtype, ReduceOp op, std::uint32_t first, std::uint32_t step, bool round_each) {
  const auto put = [&]<class Stored, class Value>() {
    const Stored stored = reduced<Stored, Value>(seed, ranks, index, dtype, op, first, step, round_each);
    std::memcpy(to, &stored, sizeof(stored));
  };
  switch (dtype) {
    case DType::f32:
      return put.template operator()<float, float>();
    case DType::f16:
      return put.template operator()<runtime::Float16, float>();
    case DType::bf16:
      return put.template operator()<runtime::BFloat16, float>();
    default:
      return put.template operator()<std::int32_t, std::int32_t>();
  }
}

/// In rank order, rounded once: one_phase, two_phase, reduce_scatter.
inline std::vector<std::byte> reduced_in_order(std::uint64_t seed, std::uint32_t ranks, std::size_t count,
                                               DType dtype, ReduceOp op) {
  const std::size_t element = runtime::size_of(dtype);
  std::vector<std::byte> bytes(count * element);
  for (std::size_t i = 0; i < count; ++i) {
    put_reduced(bytes.data() + i * element, seed, ranks, i, dtype, op, 0, 1, false);
  }
  return bytes;
}

/// As the rings do it: part p (whole cache lines) starts at rank p and goes up; in the second half of a
/// bidirectional ring it goes down. Rounded at every step.
inline std::vector<std::byte> reduced_by_ring(std::uint64_t seed, std::uint32_t ranks, std::size_t count,
                                              DType dtype, ReduceOp op, bool both_directions) {
  const std::size_t element = runtime::size_of(dtype);
  const std::size_t line = 64 / element;
  const auto part_size = [&](std::size_t total, std::size_t parts) {
    return ((total + parts - 1) / parts + line - 1) / line * line;
  };
  const std::size_t half = both_directions ? std::min(count, part_size(count, 2)) : count;
  std::vector<std::byte> bytes(count * element);
  for (std::size_t i = 0; i < count; ++i) {
    const bool up = i < half;
    const std::size_t total = up ? half : count - half;
    const auto part = static_cast<std::uint32_t>((up ? i : i - half) / part_size(total, ranks));
    put_reduced(bytes.data() + i * element, seed, ranks, i, dtype, op, part, up ? 1 : ranks - 1, true);
  }
  return bytes;
}

}  // namespace troupe::comm::test

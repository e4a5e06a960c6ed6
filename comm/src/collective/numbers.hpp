#pragma once

// What an element is in memory and what it is while it is being reduced.

#include <cstdint>

#include "collective/reduce.hpp"
#include "troupe/runtime/half.hpp"

namespace troupe::comm::collective {

struct F32 {
  using Stored = float;
  using Value = float;
  static Value load(Stored stored) noexcept { return stored; }
  static Stored store(Value value) noexcept { return value; }
};

struct F16 {
  using Stored = std::uint16_t;
  using Value = float;
  static Value load(Stored stored) noexcept { return runtime::Float16::from_bits(stored); }
  static Stored store(Value value) noexcept { return runtime::Float16(value).bits; }
};

struct Bf16 {
  using Stored = std::uint16_t;
  using Value = float;
  static Value load(Stored stored) noexcept { return runtime::BFloat16::from_bits(stored); }
  static Stored store(Value value) noexcept { return runtime::BFloat16(value).bits; }
};

struct I32 {
  using Stored = std::int32_t;
  using Value = std::int32_t;
  static Value load(Stored stored) noexcept { return stored; }
  static Stored store(Value value) noexcept { return value; }
};

inline float add(float a, float b) noexcept { return a + b; }
inline std::int32_t add(std::int32_t a, std::int32_t b) noexcept {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b));
}

template <Op op, class Value>
Value combine(Value a, Value b) noexcept {
  if constexpr (op == Op::sum) return add(a, b);
  if constexpr (op == Op::min) return a < b ? a : b;
  if constexpr (op == Op::max) return a > b ? a : b;
}

/// Calls visit.template operator()<Number, op>() for the run-time pair.
template <class Number, class Visit>
void with_op(Op op, Visit&& visit) {
  switch (op) {
    case Op::sum:
      return visit.template operator()<Number, Op::sum>();
    case Op::min:
      return visit.template operator()<Number, Op::min>();
    case Op::max:
      return visit.template operator()<Number, Op::max>();
  }
}

template <class Visit>
void with_number(DType dtype, Op op, Visit&& visit) {
  switch (dtype) {
    case DType::f32:
      return with_op<F32>(op, visit);
    case DType::f16:
      return with_op<F16>(op, visit);
    case DType::bf16:
      return with_op<Bf16>(op, visit);
    case DType::i32:
      return with_op<I32>(op, visit);
    default:
      return;
  }
}

/// Elements [first, last) of a reduction, one block at a time: the accumulators of a block stay in the first
/// cache level however many sources there are.
template <class Number, Op op>
void reduce_range(const Reduction& reduction, std::size_t first, std::size_t last) noexcept {
  using Stored = typename Number::Stored;
  constexpr std::size_t block = 256;
  typename Number::Value accumulator[block];
  for (std::size_t at = first; at < last; at += block) {
    const std::size_t n = last - at < block ? last - at : block;
    const auto* source = static_cast<const Stored*>(reduction.sources[0]) + at;
    for (std::size_t i = 0; i < n; ++i) accumulator[i] = Number::load(source[i]);
    for (std::size_t s = 1; s < reduction.n_sources; ++s) {
      source = static_cast<const Stored*>(reduction.sources[s]) + at;
      for (std::size_t i = 0; i < n; ++i) {
        accumulator[i] = combine<op>(accumulator[i], Number::load(source[i]));
      }
    }
    for (std::size_t t = 0; t < reduction.n_targets; ++t) {
      auto* target = static_cast<Stored*>(reduction.targets[t]) + at;
      for (std::size_t i = 0; i < n; ++i) target[i] = Number::store(accumulator[i]);
    }
  }
}

}  // namespace troupe::comm::collective

#pragma once

// 16-bit floating-point types, as they lie in memory. Plain values, safe on any thread; no conversion fails.

#include <bit>
#include <cstdint>

namespace troupe::runtime {

/// IEEE 754 binary16 as it lies in memory. A storage type: convert to float, compute, convert back.
/// Conversion rounds to nearest, ties to even; overflow gives infinity, NaN stays NaN, subnormals are exact.
/// Comparison is by bits (so -0 differs from 0, and a NaN equals itself): use float for numbers.
struct Float16 {
  std::uint16_t bits = 0;

  Float16() = default;
  constexpr explicit Float16(float value) noexcept : bits(encode(value)) {}
  static constexpr Float16 from_bits(std::uint16_t bits) noexcept {
    Float16 half;
    half.bits = bits;
    return half;
  }
  constexpr operator float() const noexcept { return decode(bits); }
  friend constexpr bool operator==(Float16 a, Float16 b) noexcept { return a.bits == b.bits; }

 private:
  static constexpr std::uint16_t encode(float value) noexcept {
    const auto f = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = f >> 16U & 0x8000U;
    const std::uint32_t magnitude = f & 0x7FFFFFFFU;
    if (magnitude >= 0x47800000U) {  // 65536 and above, infinity, NaN
      const std::uint32_t nan = magnitude > 0x7F800000U ? 0x200U | (magnitude >> 13U & 0x3FFU) : 0;
      return static_cast<std::uint16_t>(sign | 0x7C00U | nan);
    }
    if (magnitude < 0x38800000U) {  // subnormal: adding 0.5 leaves the rounded mantissa in the low bits
      const float aligned = std::bit_cast<float>(magnitude) + 0.5F;
      return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(aligned) - 0x3F000000U));
    }
    const std::uint32_t rounded = magnitude - 0x38000000U + 0xFFFU + (magnitude >> 13U & 1U);
    return static_cast<std::uint16_t>(sign | rounded >> 13U);
  }
  static constexpr float decode(std::uint16_t half) noexcept {
    const std::uint32_t sign = (half & 0x8000U) * 0x10000U;
    const std::uint32_t rest = half & 0x7FFFU;
    if (rest >= 0x7C00U) return std::bit_cast<float>(sign | 0x7F800000U | (rest & 0x3FFU) << 13U);
    if (rest >= 0x0400U) return std::bit_cast<float>(sign | ((rest << 13U) + 0x38000000U));
    const float magnitude = static_cast<float>(rest) * 0x1p-24F;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(magnitude));
  }
};

/// bfloat16: the upper half of a float. The same rules as Float16.
struct BFloat16 {
  std::uint16_t bits = 0;

  BFloat16() = default;
  constexpr explicit BFloat16(float value) noexcept : bits(encode(value)) {}
  static constexpr BFloat16 from_bits(std::uint16_t bits) noexcept {
    BFloat16 half;
    half.bits = bits;
    return half;
  }
  constexpr operator float() const noexcept {
    return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16U);
  }
  friend constexpr bool operator==(BFloat16 a, BFloat16 b) noexcept { return a.bits == b.bits; }

 private:
  static constexpr std::uint16_t encode(float value) noexcept {
    const auto f = std::bit_cast<std::uint32_t>(value);
    if ((f & 0x7FFFFFFFU) > 0x7F800000U)
      return static_cast<std::uint16_t>(f >> 16U | 0x40U);  // keep NaN a NaN
    return static_cast<std::uint16_t>((f + 0x7FFFU + (f >> 16U & 1U)) >> 16U);
  }
};

static_assert(sizeof(Float16) == 2 && sizeof(BFloat16) == 2);

}  // namespace troupe::runtime

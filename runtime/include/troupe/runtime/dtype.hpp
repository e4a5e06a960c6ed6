#pragma once

// Element types and their names. The numbers are part of the kernel ABI and of the wire form: none ever
// changes. Constants and pure functions, safe on any thread. Nothing fails: an unknown number has size 0 and
// the name "?", an unknown name gives no dtype. Check numbers from outside with is_dtype() first.

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <string_view>
#include <type_traits>

#include "troupe/runtime/half.hpp"

namespace troupe::runtime {

/// The element types of tensors. The numbers are part of the kernel ABI.
enum class DType : std::uint8_t {
  f32 = 0,
  f16 = 1,
  i32 = 2,
  i16 = 3,
  i8 = 4,
  u8 = 5,
  bf16 = 6,
  i64 = 7,
  u64 = 8,
  u16 = 9,
  u32 = 10,
  boolean = 11,  ///< one byte, 0 or 1
  f8e4m3 = 12,   ///< one opaque byte, as the next two: kernels know what it means, the host moves it
  f8e8m0 = 13,
  f4e2m1 = 14,  ///< one to a byte
  f64 = 64,     ///< far from the others, whose numbers other systems share
};

namespace detail {
/// What is known of an element type.
struct DTypeFacts {
  DType dtype;
  std::uint8_t size;
  std::string_view name, long_name;
};
inline constexpr DTypeFacts dtype_facts[] = {
    {DType::f32, 4, "f32", "float32"},
    {DType::f16, 2, "f16", "float16"},
    {DType::i32, 4, "i32", "int32"},
    {DType::i16, 2, "i16", "int16"},
    {DType::i8, 1, "i8", "int8"},
    {DType::u8, 1, "u8", "uint8"},
    {DType::bf16, 2, "bf16", "bfloat16"},
    {DType::i64, 8, "i64", "int64"},
    {DType::u64, 8, "u64", "uint64"},
    {DType::u16, 2, "u16", "uint16"},
    {DType::u32, 4, "u32", "uint32"},
    {DType::boolean, 1, "bool", "bool"},
    {DType::f8e4m3, 1, "f8e4m3", "float8_e4m3fn"},
    {DType::f8e8m0, 1, "f8e8m0", "float8_e8m0"},
    {DType::f4e2m1, 1, "f4e2m1", "float4_e2m1"},
    {DType::f64, 8, "f64", "float64"},
};
/// Null: no dtype has that number. All but the last stand at their number.
[[nodiscard]] constexpr const DTypeFacts* facts_of(std::uint32_t number) noexcept {
  constexpr std::uint32_t in_a_row = std::size(dtype_facts) - 1;
  if (number < in_a_row) return &dtype_facts[number];
  return number == static_cast<std::uint32_t>(DType::f64) ? &dtype_facts[in_a_row] : nullptr;
}
}  // namespace detail

/// Whether a number from outside is a dtype.
[[nodiscard]] constexpr bool is_dtype(std::uint32_t value) noexcept {
  return detail::facts_of(value) != nullptr;
}

/// Bytes per element; 0 for a value that is no dtype.
[[nodiscard]] constexpr std::size_t size_of(DType dtype) noexcept {
  const auto* facts = detail::facts_of(static_cast<std::uint32_t>(dtype));
  return facts != nullptr ? facts->size : 0;
}

/// "f32", "bf16", "bool", …; "?" for a value that is no dtype.
[[nodiscard]] constexpr std::string_view name_of(DType dtype) noexcept {
  const auto* facts = detail::facts_of(static_cast<std::uint32_t>(dtype));
  return facts != nullptr ? facts->name : "?";
}

/// The dtype of a name ("f32"; also the long form, "float32"); nothing for an unknown one.
[[nodiscard]] constexpr std::optional<DType> dtype_from_name(std::string_view name) noexcept {
  for (const auto& facts : detail::dtype_facts) {
    if (name == facts.name || name == facts.long_name) return facts.dtype;
  }
  return std::nullopt;
}

namespace detail {
template <class T>
struct DTypeOf {};
template <DType D>
struct DTypeIs {
  static constexpr DType value = D;
};
// clang-format off
template <> struct DTypeOf<float> : DTypeIs<DType::f32> {};
template <> struct DTypeOf<Float16> : DTypeIs<DType::f16> {};
template <> struct DTypeOf<std::int32_t> : DTypeIs<DType::i32> {};
template <> struct DTypeOf<std::int16_t> : DTypeIs<DType::i16> {};
template <> struct DTypeOf<std::int8_t> : DTypeIs<DType::i8> {};
template <> struct DTypeOf<std::uint8_t> : DTypeIs<DType::u8> {};
template <> struct DTypeOf<BFloat16> : DTypeIs<DType::bf16> {};
template <> struct DTypeOf<std::int64_t> : DTypeIs<DType::i64> {};
template <> struct DTypeOf<std::uint64_t> : DTypeIs<DType::u64> {};
template <> struct DTypeOf<std::uint16_t> : DTypeIs<DType::u16> {};
template <> struct DTypeOf<std::uint32_t> : DTypeIs<DType::u32> {};
template <> struct DTypeOf<bool> : DTypeIs<DType::boolean> {};
template <> struct DTypeOf<double> : DTypeIs<DType::f64> {};
// clang-format on
}  // namespace detail

/// The C++ types that a tensor may have as elements. `long long` is not one of them where `std::int64_t` is
/// `long`: name the fixed-width type.
template <class T>
concept Element = requires {
  detail::DTypeOf<std::remove_cv_t<T>>::value;
};

template <Element T>
inline constexpr DType dtype_of = detail::DTypeOf<std::remove_cv_t<T>>::value;

}  // namespace troupe::runtime

#pragma once

// Element types and their names. The numbers are part of the kernel ABI and of the wire form: none ever
// changes. Constants and pure functions, safe on any thread. Nothing fails: an unknown number has size 0 and
// the name "?", an unknown name gives no dtype. Check numbers from outside with is_dtype() first.

#include <cstddef>
#include <cstdint>
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
};

inline constexpr std::size_t dtype_count = 12;

/// Whether a number from outside is a dtype.
[[nodiscard]] constexpr bool is_dtype(std::uint32_t value) noexcept { return value < dtype_count; }

/// Bytes per element; 0 for a value that is no dtype.
[[nodiscard]] constexpr std::size_t size_of(DType dtype) noexcept {
  constexpr std::uint8_t sizes[dtype_count] = {4, 2, 4, 2, 1, 1, 2, 8, 8, 2, 4, 1};
  const auto index = static_cast<std::size_t>(dtype);
  return index < dtype_count ? sizes[index] : 0;
}

/// "f32", "bf16", "bool", …; "?" for a value that is no dtype.
[[nodiscard]] constexpr std::string_view name_of(DType dtype) noexcept {
  constexpr std::string_view names[dtype_count] = {"f32",  "f16", "i32", "i16", "i8",  "u8",
                                                   "bf16", "i64", "u64", "u16", "u32", "bool"};
  const auto index = static_cast<std::size_t>(dtype);
  return index < dtype_count ? names[index] : "?";
}

/// The dtype of a name ("f32"; also the long form, "float32"); nothing for an unknown one.
[[nodiscard]] constexpr std::optional<DType> dtype_from_name(std::string_view name) noexcept {
  constexpr std::string_view longs[dtype_count] = {"float32", "float16", "int32",    "int16",
                                                   "int8",    "uint8",   "bfloat16", "int64",
                                                   "uint64",  "uint16",  "uint32",   "bool"};
  for (std::size_t i = 0; i < dtype_count; ++i) {
    if (name == longs[i] || name == name_of(static_cast<DType>(i))) return static_cast<DType>(i);
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

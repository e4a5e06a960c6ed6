#pragma once

// Scalars: a 64-bit word each, and beside it the type that the word was made from. A reader that asks for
// another type is told so instead of getting other bits. Plain values and pure functions, safe on any thread.
// Errors: read_scalar() and convert_scalar() throw dtype_mismatch, which names both types and the value.

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <utility>

#include "troupe/runtime/export.hpp"
#include "troupe/runtime/half.hpp"
#include "troupe/runtime/module_abi.h"

namespace troupe::runtime {

/// The type that a scalar was made from. The numbers are part of the ABI.
enum class ScalarKind : std::uint8_t {
  any = TROUPE_SCALAR_ANY,  ///< unknown, or a struct, a pointer, an address: a reader may take it as any
                            ///< type
  i8 = TROUPE_SCALAR_I8,
  u8 = TROUPE_SCALAR_U8,
  i16 = TROUPE_SCALAR_I16,
  u16 = TROUPE_SCALAR_U16,
  i32 = TROUPE_SCALAR_I32,
  u32 = TROUPE_SCALAR_U32,
  i64 = TROUPE_SCALAR_I64,
  u64 = TROUPE_SCALAR_U64,
  boolean = TROUPE_SCALAR_BOOL,
  f32 = TROUPE_SCALAR_F32,
  f64 = TROUPE_SCALAR_F64,
  f16 = TROUPE_SCALAR_F16,
  bf16 = TROUPE_SCALAR_BF16,
};
/// "i32", "f64", "bool", …; "?" for a number that is no kind.
[[nodiscard]] TROUPE_API std::string_view name_of(ScalarKind kind) noexcept;

/// A value that fits one scalar word of the ABI.
template <class T>
concept Scalar = std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(std::uint64_t) && !std::is_array_v<T>;

namespace detail {
template <class T>
consteval ScalarKind scalar_kind() {
  if constexpr (std::is_enum_v<T>) {
    return scalar_kind<std::underlying_type_t<T>>();
  } else if constexpr (std::is_same_v<T, bool>) {
    return ScalarKind::boolean;
  } else if constexpr (std::is_same_v<T, float>) {
    return ScalarKind::f32;
  } else if constexpr (std::is_same_v<T, double>) {
    return ScalarKind::f64;
  } else if constexpr (std::is_same_v<T, Float16>) {
    return ScalarKind::f16;
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    return ScalarKind::bf16;
  } else if constexpr (std::is_integral_v<T>) {
    // The kinds are numbered by width, the unsigned one behind the signed one.
    constexpr int width = std::bit_width(sizeof(T)) - 1;
    return static_cast<ScalarKind>(static_cast<int>(ScalarKind::i8) + 2 * width +
                                   (std::is_signed_v<T> ? 0 : 1));
  } else {
    return ScalarKind::any;
  }
}
}  // namespace detail

template <Scalar T>
inline constexpr ScalarKind scalar_kind_of = detail::scalar_kind<std::remove_cv_t<T>>();

/// A copy of the value's bytes in the low bytes of a word; the rest is zero.
template <Scalar T>
[[nodiscard]] std::uint64_t to_u64(const T& value) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, &value, sizeof(T));
  return word;
}

/// The inverse of to_u64.
template <Scalar T>
requires std::is_default_constructible_v<T>
[[nodiscard]] T from_u64(std::uint64_t word) noexcept {
  T value{};
  std::memcpy(static_cast<void*>(&value), &word, sizeof(T));
  return value;
}

static_assert(std::endian::native == std::endian::little, "scalar words and the wire form are little-endian");

struct ScalarArg {
  std::uint64_t word = 0;
  ScalarKind kind = ScalarKind::any;
};
template <Scalar T>
[[nodiscard]] ScalarArg scalar(const T& value) noexcept {
  return {to_u64(value), scalar_kind_of<T>};
}

namespace detail {
/// Whether the word holds an integer that the wanted kind of integer holds too; then it becomes the word of
/// it.
TROUPE_API bool integer_fits(std::uint64_t& word, ScalarKind given, ScalarKind wanted) noexcept;
/// Whether the word holds a number that the wanted kind holds exactly; then it becomes the word of it.
TROUPE_API bool number_fits(std::uint64_t& word, ScalarKind given, ScalarKind wanted) noexcept;
[[noreturn]] TROUPE_API void refuse_scalar(std::uint64_t word, ScalarKind given, ScalarKind wanted,
                                           std::size_t index);
}  // namespace detail

/// The value that a kernel or a host function gets when it reads scalar `index` as a T. Integers may be read
/// as any integer type that holds the value; any other scalar only as the type it was given as. Throws
/// `dtype_mismatch`, which names the type that was given and the type that was asked for.
template <Scalar T>
[[nodiscard]] T read_scalar(ScalarArg given, std::size_t index) {
  constexpr ScalarKind wanted = scalar_kind_of<T>;
  if constexpr (wanted != ScalarKind::any) {
    if (given.kind != wanted && given.kind != ScalarKind::any) [[unlikely]] {
      if (!detail::integer_fits(given.word, given.kind, wanted)) {
        detail::refuse_scalar(given.word, given.kind, wanted, index);
      }
    }
  }
  return from_u64<T>(given.word);
}

/// The value of a program's parameter, whose type is declared: any number that the type holds exactly.
template <Scalar T>
[[nodiscard]] T convert_scalar(ScalarArg given, std::size_t index) {
  constexpr ScalarKind wanted = scalar_kind_of<T>;
  if constexpr (wanted != ScalarKind::any) {
    if (given.kind != wanted && given.kind != ScalarKind::any) {
      if (!detail::number_fits(given.word, given.kind, wanted)) {
        detail::refuse_scalar(given.word, given.kind, wanted, index);
      }
    }
  }
  return from_u64<T>(given.word);
}

}  // namespace troupe::runtime

#pragma once

// The elements of tensors as they lie in memory, and as text.

#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <string>
#include <system_error>
#include <type_traits>

#include "troupe/runtime/dtype.hpp"

namespace troupe::apps {

/// Calls `body` with a std::type_identity of what the elements are in C++. Bytes whose meaning only kernels
/// know, and truth values, are std::uint8_t.
template <class Body>
decltype(auto) with_element_type(runtime::DType dtype, Body&& body) {
  using runtime::DType;
  switch (dtype) {
    case DType::f32:
      return body(std::type_identity<float>());
    case DType::f16:
      return body(std::type_identity<runtime::Float16>());
    case DType::bf16:
      return body(std::type_identity<runtime::BFloat16>());
    case DType::f64:
      return body(std::type_identity<double>());
    case DType::i64:
      return body(std::type_identity<std::int64_t>());
    case DType::i32:
      return body(std::type_identity<std::int32_t>());
    case DType::i16:
      return body(std::type_identity<std::int16_t>());
    case DType::i8:
      return body(std::type_identity<std::int8_t>());
    case DType::u64:
      return body(std::type_identity<std::uint64_t>());
    case DType::u32:
      return body(std::type_identity<std::uint32_t>());
    case DType::u16:
      return body(std::type_identity<std::uint16_t>());
    case DType::u8:
    case DType::boolean:
    case DType::f8e4m3:
    case DType::f8e8m0:
    case DType::f4e2m1:
      break;
  }
  return body(std::type_identity<std::uint8_t>());
}

/// What an element's value is computed and shown as: float for the halves, which are only stored, else
/// itself.
template <class T>
using ValueOf = std::conditional_t<std::is_arithmetic_v<T>, T, float>;

/// The element that lies at `at`, wherever that is.
template <class T>
ValueOf<T> load_element(const void* at) {
  T element;
  std::memcpy(&element, at, sizeof element);
  return element;
}

/// Whole numbers with all their digits; others with seven at most, or as many as it takes to read the same
/// value again.
template <class T>
std::string number_text(T value) {
  std::array<char, 32> text{};
  char* const end = text.data() + text.size();
  if constexpr (std::is_floating_point_v<T>) {
    const auto few = std::to_chars(text.data(), end, value, std::chars_format::general, 7);
    T again{};
    const auto read = std::from_chars(text.data(), few.ptr, again);
    if (read.ec == std::errc() && again == value) return {text.data(), few.ptr};
  }
  return {text.data(), std::to_chars(text.data(), end, value).ptr};
}

}  // namespace troupe::apps

#pragma once

// Element types, shapes and scalars across the border. Inside Python only; wrong values throw bad_argument in
// a sentence that says what would be right.

#include <string>
#include <utility>

#include "border/errors.hpp"

namespace troupe::python {

/// "float32", "f4", "f32", numpy.float32, numpy.dtype(…).
runtime::DType dtype_of(py::handle given);
/// As numpy calls it.
std::string long_name(runtime::DType dtype);
/// As the buffer protocol calls it; throws for bfloat16, which it has no name for.
std::string format_of(runtime::DType dtype);
/// The element type of a buffer that somebody offers.
runtime::DType dtype_of_format(const char* format, Py_ssize_t item_bytes);

/// (2, 3), [2, 3] or 6.
runtime::Shape shape_of(py::handle given);
py::tuple tuple_of(const runtime::Shape& shape);

/// A number as a task gets it; `type` none: a float is float32, an int is an int of 64 bits, what numpy made
/// is what it is.
runtime::ScalarArg scalar_of(py::handle value, py::handle type);
py::object value_of(const runtime::ScalarArg& scalar);
/// Reads scalar `index` of a call that does not tell what it is.
template <class Call>
py::object scalar_of_call(const Call& call, std::size_t index);
/// One element, as a Python number.
py::object element_at(const void* address, runtime::DType dtype);

/// Calls `work` with a value of the element type.
template <class Work>
decltype(auto) with_element(runtime::DType dtype, Work work) {
  using runtime::DType;
  switch (dtype) {
    case DType::f32:
      return work(float{});
    case DType::f16:
      return work(runtime::Float16{});
    case DType::i32:
      return work(std::int32_t{});
    case DType::i16:
      return work(std::int16_t{});
    case DType::i8:
      return work(std::int8_t{});
    case DType::u8:
      return work(std::uint8_t{});
    case DType::bf16:
      return work(runtime::BFloat16{});
    case DType::i64:
      return work(std::int64_t{});
    case DType::u64:
      return work(std::uint64_t{});
    case DType::u16:
      return work(std::uint16_t{});
    case DType::u32:
      return work(std::uint32_t{});
    case DType::f64:
      return work(double{});
    case DType::boolean:
      return work(bool{});
    default:
      // Opaque bytes: kernels know what they mean.
      throw bad_argument("the host does not look at elements of " + std::string(runtime::name_of(dtype)));
  }
}

template <class Call>
py::object scalar_of_call(const Call& call, std::size_t index) {
  using runtime::scalar;
  // A call gives a scalar as what it was made from, and refuses all else.
  const auto as = [&](auto type) -> py::object {
    try {
      return value_of(scalar(call.template scalar<decltype(type)>(index)));
    } catch (const Error&) {
      return {};
    }
  };
  if (auto value = as(std::int64_t{})) return value;
  if (auto value = as(float{})) return value;
  if (auto value = as(bool{})) return value;
  if (auto value = as(double{})) return value;
  if (auto value = as(std::uint64_t{})) return value;
  if (auto value = as(runtime::Float16{})) return value;
  return value_of(scalar(call.template scalar<runtime::BFloat16>(index)));
}

}  // namespace troupe::python

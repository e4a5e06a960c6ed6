#include "data/elements.hpp"

#include <array>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

namespace troupe::python {
namespace {

using runtime::DType;
using runtime::ScalarKind;

constexpr auto the_types =
    "tensors have float32, float64, float16, bfloat16, int8 to int64, uint8 to uint64, or bool elements";

std::optional<DType> dtype_named(const std::string& name) {
  if (name == "i8" || name == "u8") {
    throw bad_argument("the element type \"" + name + "\" is of 8 bits for some and of 8 bytes for others",
                       name == "i8" ? "say int8 or int64" : "say uint8 or uint64");
  }
  if (const auto known = runtime::dtype_from_name(name)) return known;
  constexpr std::pair<std::string_view, DType> short_names[] = {
      {"f4", DType::f32}, {"f8", DType::f64}, {"f2", DType::f16}, {"i4", DType::i32}, {"i2", DType::i16},
      {"i1", DType::i8},  {"u1", DType::u8},  {"u2", DType::u16}, {"u4", DType::u32}, {"?", DType::boolean}};
  for (const auto& [text, dtype] : short_names) {
    if (name == text || (name.size() == text.size() + 1 && name[0] == '<' && name.substr(1) == text))
      return dtype;
  }
  return std::nullopt;
}

template <class T>
runtime::ScalarArg integer_scalar(py::handle value, const char* type) {
  const auto index = whole_number(value, std::string("a scalar of ") + type);
  try {
    return runtime::scalar(index.cast<T>());
  } catch (const py::cast_error&) {
    throw bad_argument("scalar " + shown(value) + " does not fit " + type);
  }
}

runtime::ScalarArg float_scalar(double value, bool wide) {
  if (wide) return runtime::scalar(value);
  if (std::isfinite(value) && std::fabs(value) > static_cast<double>(std::numeric_limits<float>::max()))
    throw bad_argument("scalar " + std::to_string(value) + " does not fit float32",
                       "say scalar(x, \"float64\")");
  return runtime::scalar(static_cast<float>(value));
}

double number(py::handle value) {
  const double result = PyFloat_AsDouble(value.ptr());
  if (result != -1.0 || PyErr_Occurred() == nullptr) return result;
  const bool large = PyErr_ExceptionMatches(PyExc_OverflowError) != 0;
  if (!large && PyErr_ExceptionMatches(PyExc_TypeError) == 0) throw py::error_already_set();
  PyErr_Clear();
  if (large) throw bad_argument("scalar " + shown(value) + " does not fit float64");
  throw bad_argument("a scalar is a number, and " + shown(value) + " is none");
}

/// The name of an element type: "float32", numpy.float32, numpy.dtype(…).
std::string name_of_type(py::handle given) {
  if (py::isinstance<py::str>(given)) return string_of(given, "an element type");
  if (PyType_Check(given.ptr()) != 0) return utf8_of(given.attr("__name__"));
  const auto name = py::getattr(given, "name", py::none());
  if (!py::isinstance<py::str>(name)) throw bad_argument("element type " + shown(given), the_types);
  if (py::getattr(given, "isnative", py::none()).is(py::bool_(false)))
    throw bad_argument("element type " + shown(given) + ", whose bytes are in the other order", the_types);
  return utf8_of(name);
}

runtime::ScalarArg scalar_as(py::handle value, const std::string& type) {
  const auto dtype = dtype_named(type);
  if (!dtype)
    throw bad_argument("\"" + type + "\" is no type of a scalar", "say float32, float64, int64, bool …");
  return with_element(*dtype, [&](auto zero) -> runtime::ScalarArg {
    using T = decltype(zero);
    if constexpr (std::is_same_v<T, bool>) {
      if (py::hasattr(value, "dtype")) return runtime::scalar(PyObject_IsTrue(value.ptr()) == 1);
      const auto truth = integer_scalar<std::int64_t>(value, "bool").word;
      if (truth > 1) throw bad_argument("scalar " + shown(value) + " is no bool");
      return runtime::scalar(truth == 1);
    } else if constexpr (std::is_floating_point_v<T>) {
      return float_scalar(number(value), std::is_same_v<T, double>);
    } else if constexpr (std::is_integral_v<T>) {
      return integer_scalar<T>(value, type.c_str());
    } else {
      return runtime::scalar(T(static_cast<float>(number(value))));
    }
  });
}

}  // namespace

DType dtype_of(py::handle given) {
  auto name = name_of_type(given);
  if (name == "bool_") name = "bool";
  if (const auto dtype = dtype_named(name)) return *dtype;
  throw bad_argument("there are no tensors of " + name, the_types);
}

std::string long_name(DType dtype) {
  const auto* facts = runtime::detail::facts_of(static_cast<std::uint32_t>(dtype));
  return facts != nullptr ? std::string(facts->long_name) : "?";
}

std::string format_of(DType dtype) {
  switch (dtype) {
    case DType::f32:
      return "f";
    case DType::f64:
      return "d";
    case DType::f16:
      return "e";
    case DType::i8:
      return "b";
    case DType::i16:
      return "h";
    case DType::i32:
      return "i";
    case DType::i64:
      return "q";
    case DType::u8:
      return "B";
    case DType::u16:
      return "H";
    case DType::u32:
      return "I";
    case DType::u64:
      return "Q";
    case DType::boolean:
      return "?";
    default:
      throw bad_argument("numpy has no " + long_name(dtype),
                         "look at its bits: x.numpy(bits=True) is an array of unsigned integers");
  }
}

DType dtype_of_format(const char* format, Py_ssize_t item_bytes) {
  if (format != nullptr && format[0] == 'f' && format[1] == '\0') return DType::f32;  // most are
  const std::string whole = format == nullptr ? "B" : format;
  std::string code = whole;
  if (code.size() == 2 && (code[0] == '@' || code[0] == '=' || code[0] == '<')) code.erase(0, 1);
  const auto is_one_of = [&](const char* these) {
    return code.size() == 1 && std::string_view(these).find(code[0]) != std::string_view::npos;
  };
  if (code == "f") return DType::f32;
  if (code == "d") return DType::f64;
  if (code == "e") return DType::f16;
  if (code == "?") return DType::boolean;
  if (is_one_of("bhilq")) {
    if (item_bytes == 1) return DType::i8;
    if (item_bytes == 2) return DType::i16;
    return item_bytes == 4 ? DType::i32 : DType::i64;
  }
  if (is_one_of("BHILQ")) {
    if (item_bytes == 1) return DType::u8;
    if (item_bytes == 2) return DType::u16;
    return item_bytes == 4 ? DType::u32 : DType::u64;
  }
  const bool swapped = whole.size() == 2 && (whole[0] == '>' || whole[0] == '!');
  throw bad_argument(
      "an array of elements \"" + whole + "\" is no tensor",
      swapped ? "its bytes are in the other order: x.astype(x.dtype.newbyteorder(\"=\"))" : the_types);
}

runtime::Shape shape_of(py::handle given) {
  std::vector<std::uint64_t> extents;
  constexpr auto hint = "a shape is a whole number, or several: 1024, or (128, 64)";
  const auto add = [&](py::handle extent) {
    const auto index = whole_number(extent, "an extent of a shape", hint);
    int overflow = 0;
    const auto value = PyLong_AsLongLongAndOverflow(index.ptr(), &overflow);
    if (value == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
    if (overflow != 0 || value < 0 || value > std::numeric_limits<std::uint32_t>::max()) {
      throw Error(runtime::Errc::invalid_shape,
                  "an extent of a shape is from 0 to 4294967295, and " + shown(index) + " is not",
                  overflow > 0 || value > 0 ? "use more dimensions, or several tensors" : "");
    }
    extents.push_back(static_cast<std::uint64_t>(value));
  };
  if (PyIndex_Check(given.ptr()) != 0 && PySequence_Check(given.ptr()) == 0) {  // arrays are both
    add(given);
  } else if (!py::isinstance<py::iterable>(given) || py::isinstance<py::str>(given) ||
             py::isinstance<py::bytes>(given)) {
    throw bad_argument(shown(given) + " is no shape", hint);
  } else {
    for (const auto& extent : items_of(given, "a shape", "a whole number, or several", hint)) add(extent);
  }
  return runtime::Shape::from(extents).value();
}

py::tuple tuple_of(const runtime::Shape& shape) {
  py::tuple result(shape.dims());
  for (std::size_t i = 0; i < shape.dims(); ++i) result[i] = py::int_(shape[i]);
  return result;
}

runtime::ScalarArg scalar_of(py::handle value, py::handle type) {
  if (!type.is_none()) return scalar_as(value, name_of_type(type));
  if (PyBool_Check(value.ptr()) != 0) return runtime::scalar(value.ptr() == Py_True);
  if (PyFloat_CheckExact(value.ptr()) != 0) return float_scalar(PyFloat_AS_DOUBLE(value.ptr()), false);
  if (PyLong_CheckExact(value.ptr()) != 0) {
    int overflow = 0;
    const auto small = PyLong_AsLongLongAndOverflow(value.ptr(), &overflow);
    if (overflow == 0) return runtime::scalar(static_cast<std::int64_t>(small));
    if (overflow > 0) return integer_scalar<std::uint64_t>(value, "64 bits");
    throw bad_argument("scalar " + shown(value) + " does not fit 64 bits");
  }
  if (py::hasattr(value, "dtype") && py::hasattr(value, "item")) {
    const auto name = name_of_type(value.attr("dtype"));
    if (py::hasattr(value, "shape") && py::len(value.attr("shape")) == 0) return scalar_as(value, name);
    throw bad_argument("an array is no scalar", "give it with a tag: in_(x)");
  }
  if (PyIndex_Check(value.ptr()) != 0) return integer_scalar<std::int64_t>(value, "64 bits");
  if (PyFloat_Check(value.ptr()) != 0) return float_scalar(number(value), false);
  throw bad_argument(shown(value) + " is no scalar", "scalars are numbers and bools");
}

py::object value_of(const runtime::ScalarArg& scalar) {
  using runtime::from_u64;
  const auto word = scalar.word;
  switch (scalar.kind) {
    case ScalarKind::any:
    case ScalarKind::u64:
      return py::int_(word);
    case ScalarKind::i8:
      return py::int_(from_u64<std::int8_t>(word));
    case ScalarKind::u8:
      return py::int_(from_u64<std::uint8_t>(word));
    case ScalarKind::i16:
      return py::int_(from_u64<std::int16_t>(word));
    case ScalarKind::u16:
      return py::int_(from_u64<std::uint16_t>(word));
    case ScalarKind::i32:
      return py::int_(from_u64<std::int32_t>(word));
    case ScalarKind::u32:
      return py::int_(from_u64<std::uint32_t>(word));
    case ScalarKind::i64:
      return py::int_(from_u64<std::int64_t>(word));
    case ScalarKind::boolean:
      return py::bool_(from_u64<std::uint8_t>(word) != 0);
    case ScalarKind::f32:
      return py::float_(from_u64<float>(word));
    case ScalarKind::f64:
      return py::float_(from_u64<double>(word));
    case ScalarKind::f16:
      return py::float_(float(from_u64<runtime::Float16>(word)));
    case ScalarKind::bf16:
      return py::float_(float(from_u64<runtime::BFloat16>(word)));
  }
  return py::int_(word);
}

py::object element_at(const void* address, DType dtype) {
  return with_element(dtype, [&](auto zero) {
    std::memcpy(static_cast<void*>(&zero), address, sizeof zero);
    return value_of(runtime::scalar(zero));
  });
}

}  // namespace troupe::python

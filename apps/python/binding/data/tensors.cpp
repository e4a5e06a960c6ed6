#include "data/dlpack.hpp"
#include "data/uses.hpp"

namespace troupe::python {
namespace {

using actors::Tensor;

std::uint64_t bound(py::handle given, std::uint64_t otherwise, std::uint64_t extent) {
  if (given.is_none()) return otherwise;
  const auto index = whole_number(given, "an end of a slice", "x[0:64]");
  // Far outside is as far as the end, as in a list.
  auto value = PyNumber_AsSsize_t(index.ptr(), nullptr);
  if (value == -1 && PyErr_Occurred() != nullptr) throw py::error_already_set();
  if (value < 0) value += static_cast<Py_ssize_t>(extent);
  if (value < 0) value = 0;
  return std::min(static_cast<std::uint64_t>(value), extent);
}

/// x[0:64], x[:, 2:4]: views. A number keeps its dimension out, as in numpy.
Tensor item(const Tensor& tensor, const py::object& key) {
  const auto keys = py::isinstance<py::tuple>(key) ? key.cast<py::tuple>() : py::make_tuple(key);
  const auto shape = tensor.shape();
  if (keys.size() > shape.dims())
    throw bad_argument("an index for more dimensions than " + to_string(tensor.description()) + " has");
  auto view = tensor;
  std::vector<std::uint64_t> kept;
  bool fewer = false;
  for (std::size_t dim = 0; dim < shape.dims(); ++dim) {
    const auto extent = shape[dim];
    if (dim >= keys.size()) {
      kept.push_back(extent);
      continue;
    }
    const py::object one = keys[dim];
    if (PySlice_Check(one.ptr()) != 0) {
      const py::object step = one.attr("step");
      if (!step.is_none() && !step.equal(py::int_(1)))
        throw bad_argument("a view takes neighbours: a slice of a tensor has no step");
      const auto begin = bound(one.attr("start"), 0, extent);
      const auto end = std::max(begin, bound(one.attr("stop"), extent, extent));
      view = view.slice(dim, begin, end);
      kept.push_back(end - begin);
    } else if (PyIndex_Check(one.ptr()) != 0) {
      // Far outside is outside.
      auto at = static_cast<std::int64_t>(PyNumber_AsSsize_t(whole_number(one, "an index").ptr(), nullptr));
      if (at < 0) at += static_cast<std::int64_t>(extent);
      if (at < 0 || at >= static_cast<std::int64_t>(extent)) throw py::index_error("index out of range");
      view = view.slice(dim, static_cast<std::uint64_t>(at), static_cast<std::uint64_t>(at) + 1);
      fewer = true;
    } else {
      throw bad_argument("a tensor is indexed with numbers and slices, and " + shown(one) + " is neither",
                         "x[0], x[0:64], x[:, 2:4]");
    }
  }
  if (!fewer) return view;
  if (kept.empty()) kept.push_back(1);
  return view.reshape(runtime::Shape::from(kept).value());
}

HostUse use_of(bool writable, bool overwrite) {
  if (overwrite) return HostUse::overwrite;
  return writable ? HostUse::change : HostUse::look;
}

}  // namespace

void add_tensors(py::module_& module) {
  py::class_<Tensor>(
      module, "Tensor",
      "Elements somewhere: in host memory, or on the chip that used them last.\n\n"
      "Made by node.tensor, node.alloc and chip.malloc. Slices are views of the same elements. `x.numpy()`\n"
      "looks at them.")
      .def_property_readonly(
          "shape", [](const Tensor& tensor) { return tuple_of(tensor.shape()); }, "As numpy has it.")
      .def_property_readonly(
          "strides", [](const Tensor& tensor) { return tuple_of(tensor.description().strides()); },
          "In elements.")
      .def_property_readonly(
          "dtype", [](const Tensor& tensor) { return long_name(tensor.dtype()); },
          "The name that numpy has for it, as \"float32\".")
      .def_property_readonly(
          "ndim", [](const Tensor& tensor) { return tensor.shape().dims(); }, "How many dimensions.")
      .def_property_readonly("size", &Tensor::elements, "How many elements.")
      .def_property_readonly("nbytes", &Tensor::bytes, "Bytes of its elements.")
      .def_property_readonly("T", &Tensor::transpose, "All dimensions in reverse order; a view.")
      .def("transpose", &Tensor::transpose, "All dimensions in reverse order; a view.")
      .def(
          "reshape",
          [](const Tensor& tensor, const py::args& shape) {
            return tensor.reshape(shape.size() == 1 ? shape_of(shape[0]) : shape_of(shape));
          },
          "The same elements under another shape; a view.")
      .def("rows", &Tensor::rows, py::arg("begin"), py::arg("end"), "Rows begin to end-1; a view.")
      .def("__getitem__", &item)
      .def("__len__", [](const Tensor& tensor) { return tensor.shape()[0]; })
      .def(
          "numpy",
          [](const Tensor& tensor, bool writable, bool overwrite, bool bits) {
            return array_of(host_elements(tensor, use_of(writable, overwrite), bits));
          },
          py::kw_only(), py::arg("writable") = true, py::arg("overwrite") = false, py::arg("bits") = false,
          "The elements as an array, without a copy (a memoryview where numpy is missing).\n\n"
          "Brings the newest bytes to host memory. While the array lives, a run that wrote the tensor brings "
          "the bytes\n"
          "back before it ends, and what you write is what the next run sees. writable=False only looks; "
          "overwrite=True\n"
          "is for who writes every element. bits=True gives unsigned integers, for bfloat16. Not inside an "
          "async\n"
          "program: `await node.fetch(x)` first.")
      .def(
          "__array__",
          [](const Tensor& tensor, const py::object& dtype, const py::object& copy) -> py::object {
            auto array = array_of(host_elements(tensor, HostUse::look, false));
            if (!dtype.is_none() && !py::object(array.attr("dtype")).equal(dtype)) {
              if (copy.is(py::bool_(false))) throw py::value_error("another element type takes a copy");
              return array.attr("astype")(dtype);
            }
            return copy.is(py::bool_(true)) ? py::object(array.attr("copy")()) : array;
          },
          py::arg("dtype") = py::none(), py::arg("copy") = py::none())
      .def(
          "__dlpack__",
          [](const Tensor& tensor, const py::object& stream, const py::object&, const py::object& device,
             const py::object& copy) {
            if (!stream.is_none())
              throw py::buffer_error("a tensor is lent in host memory, which has no streams");
            if (!device.is_none() && !device.equal(py::make_tuple(1, 0)))
              throw py::buffer_error("a tensor is lent in host memory, not on another device");
            if (copy.is(py::bool_(true)))
              throw py::buffer_error("a tensor is lent, not copied: copy what it is lent as");
            return dlpack_of(host_elements(tensor, HostUse::change, true));
          },
          py::arg("stream") = py::none(), py::kw_only(), py::arg("max_version") = py::none(),
          py::arg("dl_device") = py::none(), py::arg("copy") = py::none(),
          "For from_dlpack of numpy, torch and others: the elements, not a copy.")
      .def("__dlpack_device__", [](const Tensor&) { return py::make_tuple(1, 0); })
      .def("__repr__",
           [](const Tensor& tensor) { return "<troupe.Tensor " + to_string(tensor.description()) + ">"; });
}

}  // namespace troupe::python

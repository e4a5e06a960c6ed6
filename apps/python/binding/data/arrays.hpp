#pragma once

// Memory across the border, without copies: arrays of Python's as tensors (through the buffer protocol, so
// numpy need not be there), and tensors as something that numpy makes an array of. Inside Python only.

#include <cstddef>
#include <memory>
#include <vector>

#include "data/elements.hpp"

namespace troupe::python {

/// A tensor, or an array, as a tensor. An array's memory is borrowed: it is kept as long as the tensor, or
/// the run that uses it. A view of an array is a view of the array's whole memory, so that views in one run
/// keep their order. `writes`: a read-only array is refused.
actors::Tensor tensor_of(py::handle object, bool writes);

/// Elements in memory that something keeps, offered to numpy.
struct Elements {
  void* data = nullptr;
  runtime::DType dtype = runtime::DType::f32;
  std::vector<py::ssize_t> shape, strides;  ///< strides in bytes
  bool readonly = false;
  bool bits = false;  ///< as unsigned integers of the same width
  std::shared_ptr<const void> keep = {};

  static Elements dense(void* data, runtime::DType dtype, const runtime::Shape& shape);
  py::buffer_info info() const;
};

/// The elements of a tensor in host memory: what `Tensor::host` promises holds while it lives.
enum class HostUse { look, change, overwrite };
Elements host_elements(const actors::Tensor& tensor, HostUse use, bool bits);

/// An array of numpy's over it, or a memoryview where numpy is missing.
py::object array_of(Elements elements);
/// The same over elements that somebody else holds, too.
py::object array_over(const py::object& elements);

void add_arrays(py::module_& module);

}  // namespace troupe::python

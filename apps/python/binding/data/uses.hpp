#pragma once

// What a program makes thousands of, without the machinery of classes: tensor arguments, and calls that get
// their arguments as Python has them. Inside Python only.

#include "data/arrays.hpp"

namespace troupe::python {

/// The argument in a TensorArgument; null: it is something else. As long as the object.
const actors::TensorUse* tensor_use(py::handle object) noexcept;
py::object object_of(actors::TensorUse use);
/// Whether it is a Tensor, or of a class of a user's own over it: as py::isinstance, without a look into a
/// table.
bool is_tensor(py::handle object) noexcept;
/// The tensor in a Tensor; null: it is something else. As long as the object.
const actors::Tensor* tensor_in(py::handle object) noexcept;

/// What the work answers; null where it throws, and Python's exception is set.
template <class Work>
PyObject* guarded(Work work) noexcept {
  try {
    return work().release().ptr();
  } catch (...) {
    set_exception();
    return nullptr;
  }
}

void add_tensors(py::module_& module);
void add_uses(py::module_& module);

}  // namespace troupe::python

/// A TensorArgument, to the functions that pybind11 wraps.
template <>
class pybind11::detail::type_caster<troupe::actors::TensorUse> {
 public:
  PYBIND11_TYPE_CASTER(troupe::actors::TensorUse, const_name("TensorArgument"));
  bool load(handle object, bool) {
    const auto* use = troupe::python::tensor_use(object);
    if (use == nullptr) return false;
    value = *use;
    return true;
  }
  static handle cast(troupe::actors::TensorUse use, return_value_policy, handle) {
    return troupe::python::object_of(std::move(use)).release();
  }
};

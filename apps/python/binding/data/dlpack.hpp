#pragma once

// DLPack, both ways: tensors of other packages as they lie in host memory, without numpy between, and
// troupe's for them. Inside Python only.

#include "data/arrays.hpp"

namespace troupe::python {

/// A tensor that something lends with __dlpack__, kept as long as the tensor, or the run that uses it. Views
/// of a tensor of torch are views of its whole memory, as those of an array are; of the tensors of other
/// packages nobody knows what they are views of. `writes`: what is lent read-only is refused.
actors::Tensor tensor_of_dlpack(py::handle object, bool writes);

/// Elements as a capsule that other packages take.
py::object dlpack_of(Elements elements);

}  // namespace troupe::python

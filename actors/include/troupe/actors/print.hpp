#pragma once

// Tensors as text, for logs and debugging: std::cout << x. One thread for each tensor object.

#include <iosfwd>

#include "troupe/actors/tensor.hpp"

namespace troupe::actors {

/// Type, shape and a few elements, in a line: "f32[1000] [0, 1, 2, …, 997, 998, 999]". Never waits: of a
/// tensor whose newest bytes are not in host memory it says where they are. As with `host`, look when the
/// tasks that write it have ended.
TROUPE_API std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

}  // namespace troupe::actors

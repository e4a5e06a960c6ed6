#include "troupe/runtime/shape.hpp"

#include "text.hpp"
#include "troupe/runtime/errc.hpp"

namespace troupe::runtime {

Result<Shape> Shape::from(std::span<const std::uint64_t> extents) {
  if (extents.size() > limits::max_dims) {
    return Error(Errc::invalid_shape,
                 text("a shape of ", extents.size(), " dimensions; a tensor has at most ", limits::max_dims));
  }
  Shape shape;
  for (const std::uint64_t extent : extents) shape.extents_[shape.dims_++] = extent;
  return shape;
}

Result<std::uint64_t> Shape::elements() const {
  std::uint64_t product = 1;
  bool overflow = false;
  for (const std::uint64_t extent : *this) {
    if (extent == 0) return std::uint64_t{0};
    overflow |= __builtin_mul_overflow(product, extent, &product);
  }
  if (overflow)
    return Error(Errc::size_overflow, text("shape ", to_string(*this), " has more than 2^64 elements"));
  return product;
}

std::string to_string(const Shape& shape) {
  std::string result = "[";
  for (const std::uint64_t extent : shape) {
    if (result.size() > 1) result += ", ";
    const auto as_written = static_cast<std::int64_t>(extent);
    result += as_written < 0 && as_written > -(std::int64_t{1} << 32U) ? std::to_string(as_written)
                                                                       : std::to_string(extent);
  }
  return result += "]";
}

}  // namespace troupe::runtime

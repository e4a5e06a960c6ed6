// The operations that describe the same buffer anew: slice, view, reshape, transpose.
#include <algorithm>

#include "text.hpp"
#include "troupe/runtime/tensor.hpp"

namespace troupe::runtime {

Result<Tensor> Tensor::try_slice(std::size_t dim, std::uint64_t begin, std::uint64_t end) const {
  if (dim >= dims_) {
    return Error(Errc::out_of_range, text("slice of dimension ", dim, " of ", to_string(*this)),
                 "dimensions are counted from 0");
  }
  if (begin > end || end > shape_[dim]) {
    return Error(Errc::out_of_range, text("slice [", begin, ", ", end, ") of dimension ", dim, " of ",
                                          to_string(*this), ", which has ", shape_[dim]));
  }
  Tensor part = *this;
  part.shape_[dim] = static_cast<std::uint32_t>(end - begin);
  // An empty tensor keeps its place: the offset of nothing might lie outside the buffer.
  if (!part.empty()) part.byte_offset_ += begin * strides_[dim] * element_bytes();
  return part;
}

Result<Tensor> Tensor::try_view(const Shape& offsets, const Shape& shape) const {
  if (offsets.dims() != dims_ || shape.dims() != dims_) {
    return Error(Errc::invalid_shape,
                 text("view of ", to_string(*this), " with offsets ", to_string(offsets), " and shape ",
                      to_string(shape)),
                 "a view has as many dimensions as its tensor; reshape it afterwards");
  }
  Tensor part = *this;
  std::uint64_t moved = 0;
  for (std::size_t dim = 0; dim < dims_; ++dim) {
    if (offsets[dim] > shape_[dim] || shape[dim] > shape_[dim] - offsets[dim]) {
      return Error(Errc::out_of_range, text("view at ", to_string(offsets), " of shape ", to_string(shape),
                                            " reaches outside dimension ", dim, " of ", to_string(*this)));
    }
    part.shape_[dim] = static_cast<std::uint32_t>(shape[dim]);
    if (shape[dim] != 0) moved += offsets[dim] * strides_[dim];
  }
  if (!part.empty()) part.byte_offset_ += moved * element_bytes();
  return part;
}

namespace {

struct Axis {
  std::uint64_t extent, stride;
};

/// Strides that walk `old` (outermost first, no extent of 1) in the same order under `shape`. Both are cut
/// into runs of equal element counts; inside a run the old axes must lie as one row-major block.
bool restride(const std::array<Axis, limits::max_dims>& old, std::size_t old_dims, const Shape& shape,
              std::array<std::uint64_t, limits::max_dims>& strides) {
  std::size_t next = shape.dims();
  for (std::size_t last = old_dims; last > 0;) {
    const std::uint64_t base = old[last - 1].stride;
    std::uint64_t block = old[last - 1].extent;
    --last;
    while (last > 0 && old[last - 1].stride == block * base) block *= old[--last].extent;
    std::uint64_t covered = 1;
    while (next > 0 && (covered < block || shape[next - 1] == 1)) {
      --next;
      strides[next] = shape[next] == 1 ? 0 : covered * base;
      covered *= shape[next];
    }
    if (covered != block) return false;
  }
  while (next > 0) strides[--next] = 0;  // only extents of 1 can be left
  return true;
}

}  // namespace

Result<Tensor> Tensor::try_reshape(const Shape& shape) const {
  const Result<std::uint64_t> count = shape.elements();
  if (!count) return count.error();
  if (!valid() || shape.dims() == 0 || *count != elements()) {
    return Error(Errc::invalid_shape, text("reshape of ", to_string(*this), " to ", to_string(shape)),
                 "a reshape keeps the number of elements");
  }
  if (is_contiguous()) return create(buffer_, buffer_bytes_, byte_offset_, shape, dtype_);
  std::array<Axis, limits::max_dims> old{};
  std::size_t old_dims = 0;
  for (std::size_t dim = 0; dim < dims_; ++dim) {
    if (shape_[dim] != 1) old[old_dims++] = {shape_[dim], strides_[dim]};
  }
  std::array<std::uint64_t, limits::max_dims> strides{};
  if (!restride(old, old_dims, shape, strides)) {
    return Error(Errc::not_contiguous, text("reshape of ", to_string(*this), " to ", to_string(shape)),
                 "the elements do not lie in this order; copy the tensor first");
  }
  return create_strided(buffer_, buffer_bytes_, byte_offset_, shape,
                        *Shape::from({strides.data(), shape.dims()}), dtype_);
}

Result<Tensor> Tensor::try_transpose(const Shape& permutation) const {
  Tensor turned = *this;
  unsigned seen = 0;
  bool legal = permutation.dims() == dims_;
  for (std::size_t dim = 0; legal && dim < dims_; ++dim) {
    const std::uint64_t from = permutation[dim];
    legal = from < dims_ && (seen & 1U << from) == 0;
    if (!legal) break;
    seen |= 1U << from;
    turned.shape_[dim] = shape_[from];
    turned.strides_[dim] = strides_[from];
  }
  if (!legal) {
    return Error(Errc::invalid_args, text("transpose of ", to_string(*this), " by ", to_string(permutation)),
                 "name every dimension exactly once");
  }
  return turned;
}

Tensor Tensor::transpose() const noexcept {
  Tensor turned = *this;
  std::reverse(turned.shape_.begin(), turned.shape_.begin() + dims_);
  std::reverse(turned.strides_.begin(), turned.strides_.begin() + dims_);
  return turned;
}

}  // namespace troupe::runtime

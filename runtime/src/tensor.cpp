#include "troupe/runtime/tensor.hpp"

#include <algorithm>
#include <limits>

#include "text.hpp"

namespace troupe::runtime {
namespace {

constexpr std::uint64_t max_u32 = std::numeric_limits<std::uint32_t>::max();

Error bad_shape(const Shape& shape, DType dtype, std::string_view what) {
  return Error(Errc::invalid_shape, text("tensor ", name_of(dtype), to_string(shape), ": ", what));
}

Error too_many_bytes(const Shape& shape, DType dtype) {
  return Error(Errc::size_overflow,
               text("tensor ", name_of(dtype), to_string(shape), " has more bytes than 64 bits can count"));
}

Result<void> check_extents(const Shape& shape, DType dtype) {
  const auto number = static_cast<std::uint32_t>(dtype);
  if (!is_dtype(number)) {
    return Error(Errc::unknown_dtype, text("tensor of unknown dtype ", number), "dtypes are 0 to 14, and 64");
  }
  if (shape.dims() == 0) return bad_shape(shape, dtype, "it has no dimension");
  for (std::size_t dim = 0; dim < shape.dims(); ++dim) {
    if (shape[dim] > max_u32)
      return bad_shape(shape, dtype,
                       text("extent ", dim, " is ", shape[dim], ", and the most is ", max_u32, " (32 bits)"));
  }
  return {};
}

/// Bytes of all elements without gaps.
Result<std::uint64_t> packed_bytes(const Shape& shape, DType dtype) {
  if (auto ok = check_extents(shape, dtype); !ok) return ok.error();
  const Result<std::uint64_t> count = shape.elements();
  std::uint64_t bytes = 0;
  if (count.has_value() && !__builtin_mul_overflow(*count, size_of(dtype), &bytes)) return bytes;
  return too_many_bytes(shape, dtype);
}

/// Strides without gaps. One that is never used (fewer than two elements) only has to fit.
Result<Shape> row_major(const Shape& shape, DType dtype) {
  if (auto ok = check_extents(shape, dtype); !ok) return ok.error();
  const Result<std::uint64_t> count = shape.elements();
  if (!count) return count.error();
  std::array<std::uint64_t, limits::max_dims> strides{};
  std::uint64_t stride = 1;  // at most `count`, so it cannot wrap unless the tensor is empty
  for (std::size_t dim = shape.dims(); dim-- > 0;) {
    const bool unused = shape[dim] < 2 || *count == 0;
    strides[dim] = unused && stride > max_u32 ? 0 : stride;
    stride *= std::max<std::uint64_t>(shape[dim], 1);
  }
  return Shape::from({strides.data(), shape.dims()});
}

/// The invariants of tensor.hpp, on numbers of any size.
Result<void> check_layout(BufferRef buffer, std::uint64_t buffer_bytes, std::uint64_t byte_offset,
                          const Shape& shape, const Shape& strides, DType dtype) {
  if (auto ok = check_extents(shape, dtype); !ok) return ok;
  if (shape.dims() != strides.dims()) {
    return bad_shape(shape, dtype, text("strides ", to_string(strides), " do not match"));
  }
  const std::uint64_t element = size_of(dtype);
  std::uint64_t count = element, last = 0;
  bool empty = false, overflow = false;
  for (std::size_t dim = 0; dim < shape.dims(); ++dim) {
    if (strides[dim] > max_u32) {
      return Error(Errc::size_overflow, text("tensor ", name_of(dtype), to_string(shape), ": stride ", dim,
                                             " (", strides[dim], " elements) does not fit 32 bits"));
    }
    if (shape[dim] == 0) {
      empty = true;
      continue;
    }
    overflow |= __builtin_mul_overflow(count, shape[dim], &count);
    // Both factors fit 32 bits, so only the sum can overflow.
    overflow |= __builtin_add_overflow(last, (shape[dim] - 1) * strides[dim], &last);
  }
  std::uint64_t end = byte_offset;
  if (!empty) {
    std::uint64_t span = 0;
    overflow |= __builtin_add_overflow(last, std::uint64_t{1}, &span);
    overflow |= __builtin_mul_overflow(span, element, &span);
    overflow |= __builtin_add_overflow(byte_offset, span, &end);
    if (overflow) return too_many_bytes(shape, dtype);
  }
  std::uint64_t buffer_end = 0;
  if (__builtin_add_overflow(buffer.offset, buffer_bytes, &buffer_end)) {
    return Error(Errc::size_overflow, text("a buffer of ", buffer_bytes, " bytes at offset ", buffer.offset,
                                           " ends beyond the address space"));
  }
  if (end > buffer_bytes) {
    return Error(Errc::out_of_range,
                 text("tensor ", name_of(dtype), to_string(shape), " at byte ", byte_offset, " ends at byte ",
                      end, " of a buffer of ", buffer_bytes));
  }
  if (byte_offset % element != 0 || (buffer.is_host() && buffer.offset % element != 0)) {
    return Error(Errc::misaligned, text("tensor ", name_of(dtype), to_string(shape),
                                        " does not start at a multiple of ", element, " bytes"));
  }
  return {};
}

}  // namespace

Result<Tensor> Tensor::create(BufferRef buffer, std::uint64_t buffer_bytes, std::uint64_t byte_offset,
                              const Shape& shape, DType dtype) {
  const Result<Shape> strides = row_major(shape, dtype);
  if (!strides) return strides.error();
  return create_strided(buffer, buffer_bytes, byte_offset, shape, *strides, dtype);
}

Result<Tensor> Tensor::create_strided(BufferRef buffer, std::uint64_t buffer_bytes, std::uint64_t byte_offset,
                                      const Shape& shape, const Shape& strides, DType dtype) {
  const Result<void> ok = check_layout(buffer, buffer_bytes, byte_offset, shape, strides, dtype);
  if (!ok) return ok.error();
  Tensor tensor;
  tensor.buffer_ = buffer;
  tensor.buffer_bytes_ = buffer_bytes;
  tensor.byte_offset_ = byte_offset;
  tensor.dtype_ = dtype;
  tensor.dims_ = static_cast<std::uint8_t>(shape.dims());
  for (std::size_t dim = 0; dim < shape.dims(); ++dim) {
    tensor.shape_[dim] = static_cast<std::uint32_t>(shape[dim]);
    tensor.strides_[dim] = static_cast<std::uint32_t>(strides[dim]);
  }
  return tensor;
}

Result<Tensor> Tensor::create_unallocated(const Shape& shape, DType dtype) {
  const Result<std::uint64_t> bytes = packed_bytes(shape, dtype);
  if (!bytes) return bytes.error();
  return create({}, *bytes, 0, shape, dtype);
}

Result<void> Tensor::validate(const Tensor& tensor) {
  const std::size_t dims = tensor.dims_;
  if (dims > limits::max_dims) {
    return Error(Errc::invalid_shape, text("a tensor of ", dims, " dimensions; at most ", limits::max_dims));
  }
  bool clean =
      std::all_of(tensor.reserved_.begin(), tensor.reserved_.end(), [](auto byte) { return byte == 0; });
  for (std::size_t dim = dims; dim < limits::max_dims; ++dim) {
    clean = clean && tensor.shape_[dim] == 0 && tensor.strides_[dim] == 0;
  }
  if (!clean) return Error(Errc::wire_malformed, "a tensor whose unused bytes are not zero");
  return check_layout(tensor.buffer_, tensor.buffer_bytes_, tensor.byte_offset_, tensor.shape(),
                      tensor.strides(), tensor.dtype_);
}

Tensor Tensor::host_bytes(const void* data, const Shape& shape, DType dtype) {
  if (data == nullptr) {
    throw Error(Errc::invalid_args, text("tensor ", name_of(dtype), to_string(shape), " at a null address"));
  }
  return create(BufferRef::host(data), packed_bytes(shape, dtype).value(), 0, shape, dtype).value();
}

Shape Tensor::shape() const noexcept {
  std::array<std::uint64_t, limits::max_dims> extents{};
  std::copy_n(shape_.begin(), dims_, extents.begin());
  return *Shape::from({extents.data(), dims_});
}

Shape Tensor::strides() const noexcept {
  std::array<std::uint64_t, limits::max_dims> strides{};
  std::copy_n(strides_.begin(), dims_, strides.begin());
  return *Shape::from({strides.data(), dims_});
}

std::uint64_t Tensor::elements() const noexcept {
  std::uint64_t count = dims_ == 0 ? 0 : 1;
  for (std::size_t dim = 0; dim < dims_; ++dim) count *= shape_[dim];
  return count;
}

std::uint64_t Tensor::extent_elements() const noexcept {
  if (empty()) return 0;
  std::uint64_t last = 0;
  for (std::size_t dim = 0; dim < dims_; ++dim) last += (shape_[dim] - std::uint64_t{1}) * strides_[dim];
  return last + 1;
}

bool Tensor::is_contiguous() const noexcept {
  std::uint64_t expected = 1;
  for (std::size_t dim = dims_; dim-- > 0;) {
    if (shape_[dim] == 0) return true;
    if (shape_[dim] > 1 && strides_[dim] != expected) return empty();
    expected *= shape_[dim];
  }
  return true;
}

void* Tensor::host_address() const noexcept {
  if (!buffer_.is_host()) return nullptr;
  return reinterpret_cast<void*>(static_cast<std::uintptr_t>(buffer_.offset + byte_offset_));
}

Tensor Tensor::in_buffer(BufferRef buffer) const noexcept {
  Tensor moved = *this;
  moved.buffer_ = buffer;
  return moved;
}

Result<Tensor> Tensor::rebased(BufferRef buffer, std::uint64_t buffer_bytes, std::uint64_t offset) const {
  return create_strided(buffer, buffer_bytes, offset + byte_offset_, shape(), strides(), dtype_);
}

std::string to_string(const Tensor& tensor) {
  if (!tensor.valid()) return "no tensor";
  std::string result = text(name_of(tensor.dtype()), to_string(tensor.shape()));
  if (!tensor.is_contiguous()) result += text(" strides ", to_string(tensor.strides()));
  if (tensor.byte_offset() != 0) result += text(" at byte ", tensor.byte_offset());
  return result;
}

}  // namespace troupe::runtime

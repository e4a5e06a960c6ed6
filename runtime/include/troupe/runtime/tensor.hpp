#pragma once

// A description of elements in memory. It owns nothing: the memory behind its buffer must live as long as it
// is used. A plain 80-byte value, safe on any thread.
// Errors: each operation has a `try_` form that returns a Result and a plain form that throws the same Error
// (invalid_shape, size_overflow, out_of_range, not_contiguous, misaligned, unknown_dtype). Tensors from
// outside must pass Tensor::validate() first.

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "troupe/runtime/buffer_ref.hpp"
#include "troupe/runtime/dtype.hpp"
#include "troupe/runtime/errc.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"
#include "troupe/runtime/shape.hpp"

namespace troupe::runtime {

/// A description of elements in a buffer: where, what type, which of them. It owns nothing and moves no
/// bytes: views, slices, reshapes and transposes are new descriptions of the same buffer. 80 bytes, trivially
/// copyable, safe to share; the same layout travels on the wire.
///
/// Invariants of every tensor that a checked function returned: 1 to 5 dimensions; extents and element
/// strides fit 32 bits (the kernel ABI's width); the byte offset is a multiple of the element size; every
/// element lies inside the buffer. An extent may be 0: an empty tensor touches no byte. Strides may describe
/// any layout inside the buffer, also a self-overlapping one (a broadcast has stride 0).
/// The default-constructed tensor describes nothing (`dims() == 0`).
///
/// Each operation exists twice: `try_x` returns a Result, `x` throws the same Error.
class TROUPE_API Tensor {
 public:
  constexpr Tensor() noexcept = default;

  /// Row-major elements from `byte_offset` in a buffer of `buffer_bytes`.
  [[nodiscard]] static Result<Tensor> create(BufferRef buffer, std::uint64_t buffer_bytes,
                                             std::uint64_t byte_offset, const Shape& shape, DType dtype);
  /// The same with element strides of one's own.
  [[nodiscard]] static Result<Tensor> create_strided(BufferRef buffer, std::uint64_t buffer_bytes,
                                                     std::uint64_t byte_offset, const Shape& shape,
                                                     const Shape& strides, DType dtype);
  /// A shape and dtype without memory: an `out` argument that the executor allocates.
  [[nodiscard]] static Result<Tensor> create_unallocated(const Shape& shape, DType dtype);
  /// Whether the bytes of a tensor from outside (wire, shared memory, a C border) keep the invariants;
  /// the error says which one does not.
  [[nodiscard]] static Result<void> validate(const Tensor& tensor);

  /// Row-major elements at an address of this process. Throws.
  template <Element T>
  [[nodiscard]] static Tensor host(T* data, const Shape& shape) {
    return host_bytes(data, shape, dtype_of<T>);
  }
  [[nodiscard]] static Tensor host_bytes(const void* data, const Shape& shape, DType dtype);
  [[nodiscard]] static Tensor unallocated(const Shape& shape, DType dtype) {
    return create_unallocated(shape, dtype).value();
  }

  BufferRef buffer() const noexcept { return buffer_; }
  std::uint64_t buffer_bytes() const noexcept { return buffer_bytes_; }
  std::uint64_t byte_offset() const noexcept { return byte_offset_; }
  DType dtype() const noexcept { return dtype_; }
  std::size_t element_bytes() const noexcept { return size_of(dtype_); }
  std::size_t dims() const noexcept { return dims_; }
  bool valid() const noexcept { return dims_ != 0; }
  bool allocated() const noexcept { return buffer_.allocated(); }
  /// Undefined for `dim >= dims()`.
  std::uint32_t extent(std::size_t dim) const noexcept { return shape_[dim]; }
  /// Distance of neighbours in `dim`, in elements.
  std::uint32_t stride(std::size_t dim) const noexcept { return strides_[dim]; }
  Shape shape() const noexcept;
  Shape strides() const noexcept;

  std::uint64_t elements() const noexcept;
  bool empty() const noexcept { return elements() == 0; }
  /// Bytes of the elements themselves, without gaps.
  std::uint64_t bytes() const noexcept { return elements() * element_bytes(); }
  /// Elements from the first to one past the last, gaps included; 0 when empty.
  std::uint64_t extent_elements() const noexcept;
  /// Bytes from the first element's to one past the last element's; 0 when empty.
  std::uint64_t byte_extent() const noexcept { return extent_elements() * element_bytes(); }
  /// Row-major without gaps (dimensions of extent 1 do not matter).
  bool is_contiguous() const noexcept;
  /// The address of the first element of a tensor in this process's own address space, else null.
  void* host_address() const noexcept;

  /// Elements [begin, end) of dimension `dim`.
  [[nodiscard]] Result<Tensor> try_slice(std::size_t dim, std::uint64_t begin, std::uint64_t end) const;
  /// The box of `shape` that starts at `offsets`.
  [[nodiscard]] Result<Tensor> try_view(const Shape& offsets, const Shape& shape) const;
  /// The same elements in the same order under another shape. Possible when that order can be expressed with
  /// one stride per dimension; `not_contiguous` otherwise. The offset of a view is kept.
  [[nodiscard]] Result<Tensor> try_reshape(const Shape& shape) const;
  /// Dimension i of the result is dimension `permutation[i]` of this tensor.
  [[nodiscard]] Result<Tensor> try_transpose(const Shape& permutation) const;

  [[nodiscard]] Tensor slice(std::size_t dim, std::uint64_t begin, std::uint64_t end) const {
    return try_slice(dim, begin, end).value();
  }
  [[nodiscard]] Tensor rows(std::uint64_t begin, std::uint64_t end) const { return slice(0, begin, end); }
  [[nodiscard]] Tensor view(const Shape& offsets, const Shape& shape) const {
    return try_view(offsets, shape).value();
  }
  [[nodiscard]] Tensor reshape(const Shape& shape) const { return try_reshape(shape).value(); }
  /// All dimensions in reverse order.
  [[nodiscard]] Tensor transpose() const noexcept;
  [[nodiscard]] Tensor transpose(const Shape& permutation) const {
    return try_transpose(permutation).value();
  }
  /// The same description of another buffer.
  [[nodiscard]] Tensor in_buffer(BufferRef buffer) const noexcept;
  /// The same elements as a view of a larger buffer, in which this one's begins at `offset`.
  [[nodiscard]] Result<Tensor> rebased(BufferRef buffer, std::uint64_t buffer_bytes,
                                       std::uint64_t offset) const;

  friend bool operator==(const Tensor&, const Tensor&) noexcept = default;

 private:
  BufferRef buffer_{};
  std::uint64_t buffer_bytes_ = 0;
  std::uint64_t byte_offset_ = 0;
  std::array<std::uint32_t, limits::max_dims> shape_{};
  std::array<std::uint32_t, limits::max_dims> strides_{};
  DType dtype_ = DType::f32;
  std::uint8_t dims_ = 0;
  std::array<std::uint8_t, 6> reserved_{};  // zero, so that equal tensors are equal bytes
};

static_assert(sizeof(Tensor) == 80 && alignof(Tensor) == 8 && std::is_trivially_copyable_v<Tensor>);

/// "f32[128, 64]", and for a view that is not the whole buffer also its strides and offset.
[[nodiscard]] TROUPE_API std::string to_string(const Tensor& tensor);

}  // namespace troupe::runtime

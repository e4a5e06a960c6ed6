#pragma once

// A short list of numbers: the extents of a tensor, or the offsets of a view. A plain value, safe on any
// thread.
// Errors: invalid_shape and size_overflow, as Results. What a shape means is checked where it is used.

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "troupe/runtime/export.hpp"
#include "troupe/runtime/limits.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::runtime {

/// Up to five numbers, one per dimension: the extents of a tensor, the offsets of a view. `Shape(128, 64)`; a
/// call inside a `co_await` expression must not use a braced list (g++ 12), everywhere else `{128, 64}`
/// works. It holds any value; whether the value makes sense is checked where it is used, so that the error
/// can name the tensor.
class Shape {
 public:
  constexpr Shape() noexcept = default;

  template <std::integral... Extents>
  requires(sizeof...(Extents) >= 1) constexpr Shape(
      Extents... extents) noexcept  // NOLINT(google-explicit-constructor): {128, 64} is the point
      : extents_{to_extent(extents)...}, dims_(sizeof...(Extents)) {
    static_assert(sizeof...(Extents) <= limits::max_dims, "a tensor has at most five dimensions");
  }

  /// From numbers known at run time; fails with `invalid_shape` when there are more than five.
  [[nodiscard]] TROUPE_API static Result<Shape> from(std::span<const std::uint64_t> extents);

  constexpr std::size_t dims() const noexcept { return dims_; }
  constexpr std::uint64_t operator[](std::size_t dim) const noexcept { return extents_[dim]; }
  constexpr const std::uint64_t* begin() const noexcept { return extents_.data(); }
  constexpr const std::uint64_t* end() const noexcept { return extents_.data() + dims_; }

  /// The product of the extents; `size_overflow` when it does not fit 64 bits.
  [[nodiscard]] TROUPE_API Result<std::uint64_t> elements() const;

  friend constexpr bool operator==(const Shape&, const Shape&) noexcept = default;

 private:
  template <std::integral T>
  static constexpr std::uint64_t to_extent(T value) noexcept {
    return static_cast<std::uint64_t>(value);  // a negative number becomes absurdly large and fails its check
  }

  std::array<std::uint64_t, limits::max_dims> extents_{};
  std::size_t dims_ = 0;
};

/// "[128, 64]"; negative numbers print as the user wrote them.
[[nodiscard]] TROUPE_API std::string to_string(const Shape& shape);

}  // namespace troupe::runtime

#pragma once

// Which bytes a task touches: boxes of bytes, the questions that the dependency engine asks of them, and a
// list of accesses for one submit. Values and pure functions, safe on any thread; an AccessList has one user
// at a time and owns the boxes that its accesses point to. Nothing here reads or writes the memory that is
// described.
// Errors: none. A view must be a valid Tensor (what a checked function returned).

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "troupe/runtime/buffer_ref.hpp"
#include "troupe/runtime/export.hpp"

namespace troupe::runtime {

enum class Tag : std::uint8_t;  // task_args.hpp
class Tensor;
struct TensorArg;

/// The bytes that a strided view touches, in normal form: equal sets of bytes made by different views (a row
/// as x[3] or as x.rows(3, 4), a transpose) are equal boxes. Dimensions are sorted by stride, descending;
/// extents of 1 are dropped; dimensions that lie gap-free inside each other are merged; the innermost
/// gap-free run is not a dimension. So `rank == 0` is one contiguous range.
/// Byte k of the buffer is touched iff k = lo + sum(i_d * stride_d) + r, 0 <= i_d < extent_d, 0 <= r < run.
struct Box {
  static constexpr std::size_t max_rank = 5;
  std::uint64_t lo = 0;                           ///< first byte
  std::uint64_t hi = 0;                           ///< one past the last byte
  std::array<std::uint64_t, max_rank> strides{};  ///< bytes, descending
  std::array<std::uint32_t, max_rank> extents{};
  std::uint8_t rank = 0;
  /// The view's elements interleave or overlap, and this is only the range that covers them. Writing it does
  /// not overwrite every byte, so the graph takes an `out` of it for an `inout`.
  bool hull = false;

  /// Bytes without a gap at each point of the box.
  std::uint64_t run() const noexcept;
  friend bool operator==(const Box&, const Box&) noexcept = default;
};

/// The normal form of a view: `offset` bytes into its buffer, element strides in bytes. A view whose elements
/// overlap each other (stride 0, interleaved dimensions) becomes the range of bytes that covers it.
[[nodiscard]] TROUPE_API Box make_box(std::uint64_t offset, std::span<const std::uint32_t> extents,
                                      std::span<const std::uint64_t> strides, std::uint64_t element_bytes);
[[nodiscard]] TROUPE_API Box make_box(const Tensor& view);

/// Whether two boxes of one buffer share a byte. Never a wrong no. Exact for two ranges, for a range and a
/// box, and for boxes of one layout: the dimensions of both nest (each stride divides the next larger one)
/// and neither crosses an edge of the other's lattice. That covers all views of one row-major tensor with
/// unit steps. Otherwise (say, two interleaved steps, or a reshape to coprime widths) it may say yes for
/// boxes whose byte ranges overlap.
[[nodiscard]] TROUPE_API bool overlaps(const Box& a, const Box& b) noexcept;
/// Whether every byte of `inner` is one of `outer`. Never a wrong yes; as exact as overlaps().
[[nodiscard]] TROUPE_API bool covers(const Box& outer, const Box& inner) noexcept;

/// One argument of a task, as the graph sees it. References of one arena and generation are addresses in one
/// memory: two references with different offsets that reach the same byte are recognised, so overlapping
/// tensors depend on each other however they were made. An empty range touches nothing.
struct Access {
  BufferRef buffer;
  std::uint64_t buffer_bytes = 0;  ///< size of the whole buffer; [lo, hi) lies inside
  std::uint64_t lo = 0;            ///< first byte touched, from the buffer's start
  std::uint64_t hi = 0;            ///< one past the last
  const Box* box = nullptr;        ///< when the bytes have gaps, or it is a hull; read during submit only
  Tag tag{};

  static constexpr Access whole(BufferRef buffer, std::uint64_t bytes, Tag tag) noexcept {
    return {buffer, bytes, 0, bytes, nullptr, tag};
  }
  static constexpr Access range(BufferRef buffer, std::uint64_t bytes, std::uint64_t lo, std::uint64_t hi,
                                Tag tag) noexcept {
    return {buffer, bytes, lo, hi, nullptr, tag};
  }
};

/// Accesses made from tensors; owns the boxes they point to. Reuse one to avoid allocations:
///   list.clear(); for (auto& a : args.tensors()) list.add(a.tensor, a.tag); graph.submit({.accesses =
///   list.span()});
class TROUPE_API AccessList {
 public:
  void add(const Tensor& view, Tag tag);
  void add(const Access& access) { accesses_.push_back(access); }
  void clear() noexcept;
  std::span<const Access> span() noexcept;  ///< valid until the next call

 private:
  std::vector<Access> accesses_;
  std::vector<Box> boxes_;
  std::vector<std::uint32_t> box_of_;  // access index of each box
};

}  // namespace troupe::runtime

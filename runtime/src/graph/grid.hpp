#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "graph/chunk_pool.hpp"
#include "troupe/runtime/access.hpp"

namespace troupe::runtime::graph {

// Sorts the boxes of one space into buckets, so that a new box finds those it may meet without looking at
// all. A lattice (strides of a reference box, its extents as pitch) maps every byte to one bucket; a box is
// filed under all buckets of its bytes, so two boxes that share a byte share a bucket. Boxes of many buckets
// are filed as wide, and always looked at. Tiles that are like the reference have one bucket each.
class Grid {
 public:
  explicit Grid(const Box& reference);

  void insert(const Box& box, std::uint32_t id);
  void remove(const Box& box, std::uint32_t id);
  // False: the box meets too many buckets, look at everything. A candidate may come more than once.
  template <class Visit>
  bool candidates(const Box& box, Visit visit) const {
    Buckets buckets;
    if (!buckets_of(box, buckets)) return false;
    for (std::size_t i = 0; i < buckets.count; ++i) {
      for (std::uint32_t n = heads_[buckets.keys[i] & mask_]; n != none; n = nodes_[n].next)
        visit(nodes_[n].id);
    }
    for (const std::uint32_t id : wide_) visit(id);
    return true;
  }

 private:
  struct Node {
    std::uint32_t id, next;
    std::uint64_t key;
  };
  struct Buckets {
    static constexpr std::size_t room = 16;
    std::array<std::uint64_t, room> keys;
    std::size_t count = 0;
  };
  static constexpr std::size_t axes = Box::max_rank + 1;
  using Point = std::array<std::uint64_t, axes>;

  bool buckets_of(const Box& box, Buckets& buckets) const noexcept;
  // The lattice coordinates of a byte, outermost first; the last one is the place in the run.
  Point locate(std::uint64_t byte) const noexcept;
  bool fits_lattice(const Box& box, const Point& at, Point& size) const noexcept;
  void grow();

  std::array<std::uint64_t, Box::max_rank> strides_{};
  Point pitch_{};
  std::uint64_t shift_ = 0;  // added to addresses: the reference box starts at a bucket's corner
  std::size_t rank_ = 0;
  std::vector<Node> nodes_;
  std::vector<std::uint32_t> heads_, wide_;
  std::uint64_t mask_ = 0;
  std::uint32_t free_ = none;
  std::size_t used_ = 0;
};

}  // namespace troupe::runtime::graph

#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "graph/chunk_pool.hpp"

namespace troupe::runtime::graph {

// Which memory an address is in, as one word.
using Owner = std::uint64_t;

// Finds which address ranges meet a given one. A range of up to 2^L bytes is registered once, under level L
// and the 2^L-aligned cell of its first byte; so whatever meets a query starts in one of the query's cells or
// in the one before. With sizes of one magnitude that is one level and two or three cells.
class ExtentIndex {
 public:
  // As new, in the memory that there is.
  void clear() noexcept {
    nodes_.clear();
    heads_.assign(1, none);
    counts_.fill(0);
    filled_ = 0;
    mask_ = used_ = 0;
    free_ = none;
  }
  void insert(Owner owner, std::uint64_t lo, std::uint64_t hi, std::uint32_t id);
  void remove(Owner owner, std::uint64_t lo, std::uint64_t hi, std::uint32_t id);

  template <class Visit>
  void query(Owner owner, std::uint64_t lo, std::uint64_t hi, Visit visit) const {
    for (std::uint64_t levels = filled_; levels != 0; levels &= levels - 1) {
      const auto level = static_cast<std::uint32_t>(std::countr_zero(levels));
      const std::uint64_t first = lo >> level, last = (hi - 1) >> level;
      if (last - first > nodes_.size()) {
        for (const Node& node : nodes_) {
          if (node.level == level) meet(node, owner, lo, hi, visit);
        }
        continue;
      }
      for (std::uint64_t cell = first - (first != 0 ? 1 : 0); cell <= last; ++cell) {
        for (std::uint32_t n = heads_[bucket(owner, level, cell)]; n != none; n = nodes_[n].next) {
          if (nodes_[n].level == level && nodes_[n].lo >> level == cell)
            meet(nodes_[n], owner, lo, hi, visit);
        }
      }
    }
  }

 private:
  static constexpr std::uint32_t unused = 0xFF;
  struct Node {
    std::uint64_t lo, hi;
    Owner owner;
    std::uint32_t level, id, next;
  };
  template <class Visit>
  static void meet(const Node& node, Owner owner, std::uint64_t lo, std::uint64_t hi, Visit& visit) {
    if (node.owner == owner && node.lo < hi && lo < node.hi) visit(node.id);
  }
  static std::uint32_t level_of(std::uint64_t lo, std::uint64_t hi) noexcept {
    return std::min(static_cast<std::uint32_t>(std::bit_width(hi - lo - 1)), 63U);
  }
  std::uint32_t bucket(Owner owner, std::uint32_t level, std::uint64_t cell) const noexcept {
    const std::uint64_t mixed = (cell * 64 + level + std::rotl(owner, 8)) * 0x9E37'79B9'7F4A'7C15ULL;
    return static_cast<std::uint32_t>(mixed >> 32U) & mask_;
  }
  void grow();

  std::vector<Node> nodes_;
  std::vector<std::uint32_t> heads_{none};
  std::array<std::uint32_t, 64> counts_{};
  std::uint64_t filled_ = 0;  // bit L set: level L has ranges
  std::uint32_t mask_ = 0, free_ = none, used_ = 0;
};

}  // namespace troupe::runtime::graph

#include "graph/grid.hpp"

#include <algorithm>

namespace troupe::runtime::graph {

Grid::Grid(const Box& reference) : strides_(reference.strides), rank_(reference.rank) {
  for (std::size_t d = 0; d < rank_; ++d) pitch_[d] = reference.extents[d];
  pitch_[rank_] = reference.run();
  const std::uint64_t period = rank_ > 0 ? strides_[0] * pitch_[0] : pitch_[0];
  shift_ = period - reference.lo % period;
  heads_.assign(64, none);
  mask_ = heads_.size() - 1;
}

Grid::Point Grid::locate(std::uint64_t byte) const noexcept {
  Point at{};
  std::uint64_t rest = byte + shift_;
  for (std::size_t d = 0; d < rank_; ++d) {
    at[d] = rest / strides_[d];
    rest %= strides_[d];
  }
  at[rank_] = rest;
  return at;
}

// Whether the box is a box of the lattice that starts at `at` and crosses no edge of it.
bool Grid::fits_lattice(const Box& box, const Point& at, Point& size) const noexcept {
  std::size_t j = 0;
  for (std::size_t d = 0; d < rank_; ++d) {
    const bool shared = j < box.rank && box.strides[j] == strides_[d];
    size[d] = shared ? box.extents[j++] : 1;
    if (d > 0 && (at[d] + size[d]) * strides_[d] > strides_[d - 1]) return false;
  }
  size[rank_] = box.run();
  return j == box.rank && (rank_ == 0 || at[rank_] + size[rank_] <= strides_[rank_ - 1]);
}

bool Grid::buckets_of(const Box& box, Buckets& buckets) const noexcept {
  const Point at = locate(box.lo);
  Point size{};
  Point first{}, last{};
  if (fits_lattice(box, at, size)) {
    std::uint64_t total = 1;
    for (std::size_t d = 0; d <= rank_; ++d) {
      first[d] = at[d] / pitch_[d];
      last[d] = (at[d] + size[d] - 1) / pitch_[d];
      total *= last[d] - first[d] + 1;
      if (total > Buckets::room) return false;
    }
  } else {
    // The bytes between lo and hi: one bucket, or neighbours along the innermost axis, or too many.
    const Point end = locate(box.hi - 1);
    for (std::size_t d = 0; d <= rank_; ++d) {
      if (d < rank_ && at[d] != end[d]) return false;
      first[d] = at[d] / pitch_[d];
      last[d] = end[d] / pitch_[d];
    }
    if (last[rank_] < first[rank_] || last[rank_] - first[rank_] >= Buckets::room) return false;
  }
  for (Point p = first;;) {
    std::uint64_t key = 0;
    for (std::size_t d = 0; d <= rank_; ++d) key = (key ^ p[d]) * 0x9E37'79B9'7F4A'7C15ULL;
    buckets.keys[buckets.count++] = key ^ key >> 32U;
    std::size_t d = rank_ + 1;
    while (d > 0 && p[d - 1] == last[d - 1]) {
      p[d - 1] = first[d - 1];
      --d;
    }
    if (d == 0) return true;
    ++p[d - 1];
  }
}

void Grid::insert(const Box& box, std::uint32_t id) {
  Buckets buckets;
  if (!buckets_of(box, buckets)) {
    wide_.push_back(id);
    return;
  }
  for (std::size_t i = 0; i < buckets.count; ++i) {
    if (used_ >= heads_.size()) grow();
    std::uint32_t n = free_;
    if (n == none) {
      n = static_cast<std::uint32_t>(nodes_.size());
      nodes_.emplace_back();
    } else {
      free_ = nodes_[n].next;
    }
    std::uint32_t& head = heads_[buckets.keys[i] & mask_];
    nodes_[n] = {id, head, buckets.keys[i]};
    head = n;
    ++used_;
  }
}

void Grid::remove(const Box& box, std::uint32_t id) {
  Buckets buckets;
  if (!buckets_of(box, buckets)) {
    std::erase(wide_, id);
    return;
  }
  for (std::size_t i = 0; i < buckets.count; ++i) {
    std::uint32_t* link = &heads_[buckets.keys[i] & mask_];
    while (*link != none && (nodes_[*link].id != id || nodes_[*link].key != buckets.keys[i])) {
      link = &nodes_[*link].next;
    }
    if (*link == none) continue;
    const std::uint32_t n = *link;
    *link = nodes_[n].next;
    nodes_[n] = {none, free_, 0};
    free_ = n;
    --used_;
  }
}

void Grid::grow() {
  heads_.assign(heads_.size() * 4, none);
  mask_ = heads_.size() - 1;
  for (std::uint32_t n = 0; n < nodes_.size(); ++n) {
    if (nodes_[n].id == none) continue;
    std::uint32_t& head = heads_[nodes_[n].key & mask_];
    nodes_[n].next = head;
    head = n;
  }
}

}  // namespace troupe::runtime::graph

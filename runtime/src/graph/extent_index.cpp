#include "graph/extent_index.hpp"

namespace troupe::runtime::graph {

void ExtentIndex::insert(Owner owner, std::uint64_t lo, std::uint64_t hi, std::uint32_t id) {
  if (used_ > mask_) grow();
  std::uint32_t n = free_;
  if (n == none) {
    n = static_cast<std::uint32_t>(nodes_.size());
    nodes_.emplace_back();
  } else {
    free_ = nodes_[n].next;
  }
  const std::uint32_t level = level_of(lo, hi);
  std::uint32_t& head = heads_[bucket(owner, level, lo >> level)];
  nodes_[n] = {lo, hi, owner, level, id, head};
  head = n;
  ++used_;
  if (counts_[level]++ == 0) filled_ |= std::uint64_t{1} << level;
}

void ExtentIndex::remove(Owner owner, std::uint64_t lo, std::uint64_t hi, std::uint32_t id) {
  const std::uint32_t level = level_of(lo, hi);
  std::uint32_t* link = &heads_[bucket(owner, level, lo >> level)];
  while (*link != none &&
         (nodes_[*link].id != id || nodes_[*link].lo != lo || nodes_[*link].level != level)) {
    link = &nodes_[*link].next;
  }
  if (*link == none) return;
  const std::uint32_t n = *link;
  *link = nodes_[n].next;
  nodes_[n].level = unused;
  nodes_[n].next = free_;
  free_ = n;
  --used_;
  if (--counts_[level] == 0) filled_ &= ~(std::uint64_t{1} << level);
}

void ExtentIndex::grow() {
  heads_.assign(heads_.size() * 4, none);
  mask_ = static_cast<std::uint32_t>(heads_.size() - 1);
  for (std::uint32_t n = 0; n < nodes_.size(); ++n) {
    if (nodes_[n].level == unused) continue;
    std::uint32_t& head = heads_[bucket(nodes_[n].owner, nodes_[n].level, nodes_[n].lo >> nodes_[n].level)];
    nodes_[n].next = head;
    head = n;
  }
}

}  // namespace troupe::runtime::graph

#include "troupe/runtime/block_arena.hpp"

#include <algorithm>
#include <bit>
#include <limits>

namespace troupe::runtime {

namespace {
std::size_t class_of(std::uint64_t bytes) noexcept {
  return static_cast<std::size_t>(std::bit_width(bytes)) - 1;
}
}  // namespace

BlockArena::BlockArena(std::uint64_t bytes, std::uint64_t alignment) { reset(bytes, alignment); }

void BlockArena::reset(std::uint64_t bytes, std::uint64_t alignment) {
  bytes_ = bytes & ~(alignment - 1);
  alignment_ = alignment;
  used_ = filled_ = 0;
  first_ = spare_ = none;
  nodes_.clear();
}

/// Most arenas of a run are never asked for anything.
void BlockArena::begin() {
  free_.fill(none);
  if (bytes_ == 0) return;
  first_ = take_node();
  nodes_[first_].bytes = bytes_;
  link(first_);
}

std::uint64_t BlockArena::rounded(std::uint64_t bytes) const noexcept {
  if (bytes > std::numeric_limits<std::uint64_t>::max() - alignment_)
    return std::numeric_limits<std::uint64_t>::max();
  return (std::max<std::uint64_t>(bytes, 1) + alignment_ - 1) & ~(alignment_ - 1);
}

std::optional<BlockArena::Grant> BlockArena::allocate(std::uint64_t bytes) {
  if (nodes_.empty()) begin();
  const std::uint64_t size = rounded(bytes);
  const std::uint32_t found = find(size);
  if (found == none) return std::nullopt;
  unlink(found);
  if (nodes_[found].bytes > size) {
    const std::uint32_t rest = take_node();  // may move nodes_
    Node& node = nodes_[found];
    Node& tail = nodes_[rest];
    tail.offset = node.offset + size;
    tail.bytes = node.bytes - size;
    tail.before = found;
    tail.after = node.after;
    if (tail.after != none) nodes_[tail.after].before = rest;
    node.after = rest;
    node.bytes = size;
    link(rest);
  }
  Node& node = nodes_[found];
  node.used = true;
  used_ += size;
  return Grant{node.offset, size, found};
}

bool BlockArena::free(std::uint32_t handle) {
  if (handle >= nodes_.size() || !nodes_[handle].used) return false;
  Node& node = nodes_[handle];
  node.used = false;
  used_ -= node.bytes;
  if (const std::uint32_t after = node.after; after != none && !nodes_[after].used) {
    unlink(after);
    node.bytes += nodes_[after].bytes;
    node.after = nodes_[after].after;
    if (node.after != none) nodes_[node.after].before = handle;
    drop_node(after);
  }
  if (const std::uint32_t before = node.before; before != none && !nodes_[before].used) {
    unlink(before);
    nodes_[before].bytes += node.bytes;
    nodes_[before].after = node.after;
    if (node.after != none) nodes_[node.after].before = before;
    drop_node(handle);
    link(before);
  } else {
    link(handle);
  }
  return true;
}

std::uint64_t BlockArena::largest_free() const noexcept {
  if (nodes_.empty()) return bytes_;
  std::uint64_t largest = 0;
  if (filled_ == 0) return largest;
  for (std::uint32_t n = free_[class_of(filled_)]; n != none; n = nodes_[n].next) {
    largest = std::max(largest, nodes_[n].bytes);
  }
  return largest;
}

std::vector<BlockArena::Block> BlockArena::blocks() const {
  std::vector<Block> all;
  if (nodes_.empty() && bytes_ != 0) all.push_back({0, bytes_, false});
  for (std::uint32_t n = first_; n != none; n = nodes_[n].after) {
    all.push_back({nodes_[n].offset, nodes_[n].bytes, nodes_[n].used});
  }
  return all;
}

// The blocks of a request's own class may be too small; those of every larger class fit.
std::uint32_t BlockArena::find(std::uint64_t bytes) const noexcept {
  const std::size_t own = class_of(bytes);
  for (std::uint32_t n = free_[own]; n != none; n = nodes_[n].next) {
    if (nodes_[n].bytes >= bytes) return n;
  }
  const std::uint64_t larger = own + 1 < classes ? filled_ >> (own + 1) << (own + 1) : 0;
  return larger != 0 ? free_[static_cast<std::size_t>(std::countr_zero(larger))] : none;
}

void BlockArena::link(std::uint32_t node) {
  const std::size_t at = class_of(nodes_[node].bytes);
  nodes_[node].prev = none;
  nodes_[node].next = free_[at];
  if (free_[at] != none) nodes_[free_[at]].prev = node;
  free_[at] = node;
  filled_ |= std::uint64_t{1} << at;
}

void BlockArena::unlink(std::uint32_t node) {
  const Node& n = nodes_[node];
  const std::size_t at = class_of(n.bytes);
  if (n.prev != none) {
    nodes_[n.prev].next = n.next;
  } else {
    free_[at] = n.next;
    if (n.next == none) filled_ &= ~(std::uint64_t{1} << at);
  }
  if (n.next != none) nodes_[n.next].prev = n.prev;
}

std::uint32_t BlockArena::take_node() {
  if (spare_ == none) {
    nodes_.emplace_back();
    return static_cast<std::uint32_t>(nodes_.size() - 1);
  }
  const std::uint32_t node = spare_;
  spare_ = nodes_[node].next;
  nodes_[node] = Node{};
  return node;
}

void BlockArena::drop_node(std::uint32_t node) {
  nodes_[node].used = false;
  nodes_[node].next = spare_;
  spare_ = node;
}

}  // namespace troupe::runtime

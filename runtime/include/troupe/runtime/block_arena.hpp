#pragma once

// An allocator that works in offsets. It never touches the memory that it divides, and does not own it.
// Threads: one owner at a time; hand it to another thread with a happens-before edge, like any other value.
// Errors: none. A request that fits no free block gets nothing, a handle that is not in use is answered
// false.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "troupe/runtime/export.hpp"

namespace troupe::runtime {

/// Gives out blocks of a piece of memory that it never touches: it works in offsets. Blocks are freed one by
/// one, in any order, and neighbours merge. A request that any free block could hold succeeds; the block is
/// taken from the smallest fitting size class. A few tens of nanoseconds per call, no allocation in steady
/// state. One owner at a time.
class TROUPE_API BlockArena {
 public:
  /// `alignment`: a power of 2; every block starts at a multiple of it and has a multiple of it as size.
  explicit BlockArena(std::uint64_t bytes = 0, std::uint64_t alignment = 1024);

  /// As a new one: nothing is given out, and no handle is of a block. Keeps the memory of its lists.
  void reset(std::uint64_t bytes, std::uint64_t alignment);

  struct Grant {
    std::uint64_t offset = 0, bytes = 0;
    std::uint32_t handle = 0;  ///< for free()
  };
  /// A block of at least `bytes` (0 counts as 1); nothing when no free block is large enough.
  std::optional<Grant> allocate(std::uint64_t bytes);
  /// False: the handle is of no block that is in use.
  bool free(std::uint32_t handle);

  std::uint64_t bytes() const noexcept { return bytes_; }
  std::uint64_t used() const noexcept { return used_; }
  std::uint64_t largest_free() const noexcept;
  /// The bytes that a request of `bytes` takes; 2^64 - 1 when that overflows.
  std::uint64_t rounded(std::uint64_t bytes) const noexcept;

  struct Block {
    std::uint64_t offset = 0, bytes = 0;
    bool used = false;
  };
  /// All blocks, used and free, by offset.
  std::vector<Block> blocks() const;

 private:
  static constexpr std::uint32_t none = 0xFFFF'FFFF;
  static constexpr std::size_t classes = 64;
  struct Node {
    std::uint64_t offset = 0, bytes = 0;
    std::uint32_t before = none, after = none;  // neighbours by offset
    std::uint32_t prev = none, next = none;     // in the free list of its class
    bool used = false;
  };
  void begin();
  std::uint32_t take_node();
  void drop_node(std::uint32_t node);
  void link(std::uint32_t node);
  void unlink(std::uint32_t node);
  std::uint32_t find(std::uint64_t bytes) const noexcept;

  std::uint64_t bytes_ = 0, alignment_ = 1, used_ = 0,
                filled_ = 0;                   // filled_: a bit for each class with free blocks
  std::array<std::uint32_t, classes> free_{};  // of no use before there are nodes
  std::vector<Node> nodes_;
  std::uint32_t first_ = none, spare_ = none;  // lowest block; unused nodes, by `next`
};

}  // namespace troupe::runtime

#pragma once

#include <cstdint>
#include <vector>

namespace troupe::runtime::graph {

inline constexpr std::uint32_t none = 0xFFFF'FFFF;

// One cache line of list: ids of tasks, of neighbours, of buffers. All lists of a graph that outgrow their
// fixed place share one pool, so memory stays flat whatever the shape of the graph.
struct alignas(64) Chunk {
  static constexpr std::uint32_t wide_room = 7, narrow_room = 14;
  std::uint32_t next = none;
  std::uint32_t count : 8 = 0;
  std::uint32_t depth : 24 = 1;  // of a stack's newest chunk: how many chunks the stack has
  union {
    std::uint64_t wide[wide_room];
    std::uint32_t narrow[narrow_room];
  };
  Chunk() noexcept : wide{} {}
};

// References are valid until the next take().
class ChunkPool {
 public:
  Chunk& operator[](std::uint32_t chunk) noexcept { return chunks_[chunk]; }
  const Chunk& operator[](std::uint32_t chunk) const noexcept { return chunks_[chunk]; }

  // As new, in the memory that there is.
  void clear() noexcept {
    chunks_.clear();
    free_ = none;
  }
  std::size_t capacity() const noexcept { return chunks_.capacity(); }

  void prefetch(std::uint32_t chunk) const noexcept { __builtin_prefetch(chunks_.data() + chunk, 1); }
  std::uint32_t take() {
    if (free_ == none) {
      chunks_.emplace_back();
      return static_cast<std::uint32_t>(chunks_.size() - 1);
    }
    const std::uint32_t chunk = free_;
    free_ = chunks_[chunk].next;
    chunks_[chunk].next = none;
    chunks_[chunk].count = 0;
    chunks_[chunk].depth = 1;
    return chunk;
  }
  void give(std::uint32_t chunk) noexcept {
    chunks_[chunk].next = free_;
    free_ = chunk;
  }

  // A stack of chunks, newest first, of 64-bit items.
  void push(std::uint32_t& list, std::uint64_t item) {
    if (list == none || chunks_[list].count == Chunk::wide_room) {
      const std::uint32_t fresh = take();
      chunks_[fresh].next = list;
      if (list != none) chunks_[fresh].depth = (chunks_[list].depth + 1U) & 0xFF'FFFF;
      list = fresh;
    }
    Chunk& chunk = chunks_[list];
    chunk.wide[chunk.count] = item;
    chunk.count = (chunk.count + 1U) & 0xFF;
  }
  void clear(std::uint32_t& list) noexcept {
    while (list != none) {
      const std::uint32_t next = chunks_[list].next;
      give(list);
      list = next;
    }
  }
  // Calls keep(item) for every item and closes the gaps of those it refuses; says how many stayed.
  template <class Keep>
  std::uint32_t filter(std::uint32_t& list, Keep keep) noexcept {
    std::uint32_t kept = 0;
    std::uint32_t to = list, to_at = 0, before_to = none, filled = 1;
    for (std::uint32_t from = list; from != none; from = chunks_[from].next) {
      const std::uint32_t count = chunks_[from].count;
      for (std::uint32_t i = 0; i < count; ++i) {
        const std::uint64_t item = chunks_[from].wide[i];
        if (!keep(item)) continue;
        // The head may be part full and every other chunk is full, so the write place never passes the read.
        if (to_at == Chunk::wide_room) {
          chunks_[to].count = Chunk::wide_room;
          before_to = to;
          to = chunks_[to].next;
          to_at = 0;
          ++filled;
        }
        chunks_[to].wide[to_at++] = item;
        ++kept;
      }
    }
    trim(list, to, to_at, before_to);
    if (list != none) chunks_[list].depth = filled & 0xFF'FFFF;
    return kept;
  }

 private:
  // Ends `list` at chunk `last` with `count` items, and turns it so that the part-full chunk is the head.
  void trim(std::uint32_t& list, std::uint32_t last, std::uint32_t count,
            std::uint32_t before_last) noexcept {
    if (list == none) return;
    std::uint32_t rest = chunks_[last].next;
    clear(rest);
    chunks_[last].next = none;
    chunks_[last].count = count & 0xFF;
    if (count == 0 && before_last == none) {
      give(last);
      list = none;
    } else if (last != list) {
      chunks_[before_last].next = none;
      chunks_[last].next = list;
      list = last;
    }
  }

  std::vector<Chunk> chunks_;
  std::uint32_t free_ = none;
};

}  // namespace troupe::runtime::graph

#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "graph/chunk_pool.hpp"
#include "troupe/runtime/block_arena.hpp"
#include "troupe/runtime/ring.hpp"
#include "troupe/runtime/task_graph.hpp"

namespace troupe::runtime::graph {

// An intermediate: named by handles while its scope is open, used by live tasks, freed when neither is left.
// Memory is asked for by the first task that uses it, and given per arena in that order.
struct Intermediate {
  enum class State : std::uint8_t { free, unasked, queued, placed };
  std::uint32_t generation = 1;
  State state = State::free;
  std::uint8_t arena = 0;
  bool scope_open = false;
  std::uint32_t handles = 0;
  std::uint32_t uses = 0;
  std::uint32_t waiters = none;            // chunks of packed task ids
  std::uint32_t prev = none, next = none;  // in its scope
  std::uint32_t stamp = 0;
  std::uint64_t bytes = 0;
  BlockArena::Grant grant;
  std::string_view name;

  bool nameable() const noexcept { return scope_open && handles != 0; }
};

class Intermediates {
 public:
  // Intermediates live in an address space of their own, this many bits each.
  static constexpr std::uint32_t address_bits = 40;

  Intermediates(const TaskGraphConfig& config, ChunkPool& chunks);

  // As new, in the memory that there is.
  void clear(const TaskGraphConfig& config);
  std::size_t capacity() const noexcept { return slots_.capacity(); }

  std::uint32_t create(std::uint32_t depth, std::uint64_t bytes, std::string_view name);
  // The slot of a reference, or none when it is gone.
  std::uint32_t find(const BufferRef& ref) const noexcept {
    if (ref.offset >= slots_.size()) return none;
    const auto slot = static_cast<std::uint32_t>(ref.offset);
    const Intermediate& i = slots_[slot];
    return i.state != Intermediate::State::free && i.generation == ref.generation ? slot : none;
  }
  Intermediate& operator[](std::uint32_t slot) noexcept { return slots_[slot]; }
  const Intermediate& operator[](std::uint32_t slot) const noexcept { return slots_[slot]; }

  void open_scope() { scopes_.push_back(none); }
  // Takes the handles of the innermost scope; done(slot) for each that nothing uses any more.
  template <class Done>
  void close_scope(Done done) {
    std::uint32_t slot = scopes_.back();
    scopes_.pop_back();
    while (slot != none) {
      const std::uint32_t next = slots_[slot].next;
      slots_[slot].scope_open = false;
      slots_[slot].prev = slots_[slot].next = none;
      if (slots_[slot].uses == 0) done(slot);
      slot = next;
    }
  }
  std::uint32_t depth() const noexcept { return static_cast<std::uint32_t>(scopes_.size()) - 1; }
  static std::uint8_t arena_of(std::uint32_t depth) noexcept {
    return static_cast<std::uint8_t>(depth < limits::arenas ? depth : limits::arenas - 1);
  }

  // Asks for memory. True: placed; false: queued.
  bool ask(std::uint32_t slot);
  // Ends an intermediate; its memory is free and the reference names nothing from now on.
  void drop(std::uint32_t slot);
  // Places what now fits, in order; the waiters of each go to `released`.
  void place_queued(std::uint32_t arena, std::vector<std::uint64_t>& released);

  const BlockArena& arena(std::size_t index) const noexcept { return arenas_[index].blocks; }
  std::uint64_t rounded(std::uint32_t slot) const noexcept {
    return arenas_[slots_[slot].arena].blocks.rounded(slots_[slot].bytes);
  }
  std::uint32_t next_stamp() noexcept { return ++stamp_; }
  std::string map() const;
  std::string map(std::size_t arena) const;

 private:
  struct Arena {
    BlockArena blocks;
    Ring<std::uint64_t> queue;  // generation and slot of what waits for memory
  };
  std::vector<Intermediate> slots_;
  std::vector<std::uint32_t> spare_;
  std::vector<std::uint32_t> scopes_;  // first intermediate of each open scope
  std::array<Arena, limits::arenas> arenas_;
  ChunkPool& chunks_;
  std::uint32_t stamp_ = 0;
};

}  // namespace troupe::runtime::graph

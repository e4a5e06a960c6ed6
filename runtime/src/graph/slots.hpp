#pragma once

#include <string_view>
#include <unordered_map>
#include <vector>

#include "graph/chunk_pool.hpp"
#include "troupe/runtime/task_graph.hpp"

namespace troupe::runtime::graph {

constexpr std::uint64_t pack(TaskId id) noexcept { return std::uint64_t{id.generation} << 32U | id.slot; }
constexpr TaskId unpack(std::uint64_t word) noexcept {
  return {static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(word >> 32U)};
}

enum SlotFlag : std::uint8_t {
  prioritized = 1,  // has a priority: waits in a heap, not in a queue
  poisoned = 2,     // must not run (any more): a producer failed, or it was cancelled
  failed = 4,       // a member failed
  node_only = 8,
  on_executor = 16,  // dispatched in order: its executor is in the SlotInfo
  answered = 32,     // all members ended before its producers did
  offered = 64,      // sits in an executor's offer list
  has_uses = 128,    // touches intermediates
};

// What submit, release and completion of a task touch: one cache line.
struct alignas(64) Slot {
  static constexpr std::uint32_t inline_successors = 6;
  static constexpr std::uint32_t order_only = 0x8000'0000;  // on a successor: not poisoned by us

  std::uint64_t cookie = 0;
  TaskState state = TaskState::none;
  std::uint8_t kind = 0;
  std::uint8_t flags = 0;
  std::uint8_t ring = 0;
  std::uint32_t pending = 0;            // producers that have not ended, and events
  std::uint32_t next = none;            // in the free list, a ready queue, the list of tasks to end
  std::uint32_t members = 0;            // still out
  std::uint32_t unplaced = 0;           // intermediates without memory
  std::uint32_t uses = none;            // chunks: intermediates it touches
  std::uint32_t successor_tail = none;  // chunks in a ring: the tail's next is the first
  std::uint32_t successor_count = 0;
  std::uint32_t successors[inline_successors];

  bool is(SlotFlag flag) const noexcept { return (flags & flag) != 0; }
  void set(SlotFlag flag) noexcept { flags = static_cast<std::uint8_t>(flags | flag); }
  void unset(SlotFlag flag) noexcept { flags = static_cast<std::uint8_t>(flags & ~flag); }
};
static_assert(sizeof(Slot) == 64);

// What is asked for less often.
struct SlotInfo {
  std::string_view name;
  std::uint64_t serial = 0;
  std::int32_t priority = 0;
  std::uint32_t members = 1;
  std::uint32_t events = 0;
  ExecutorId bound = any_executor;
  ExecutorId executor = any_executor;
};

// Over a task's unfinished producers that are dispatched in order: their number, the sum of their executor
// numbers, and of the squares. They say in O(1) whether all are on one executor. All zero without
// dispatched().
struct Dispatches {
  std::uint64_t count = 0, executor_sum = 0, executor_squares = 0;
};

// Why tasks failed, by id; kept after they ended for as long as someone can ask or be poisoned.
using Failures = std::unordered_map<std::uint64_t, Error>;

class Slots {
 public:
  Slot& operator[](std::uint32_t slot) noexcept { return hot_[slot]; }
  const Slot& operator[](std::uint32_t slot) const noexcept { return hot_[slot]; }
  SlotInfo& info(std::uint32_t slot) noexcept { return info_[slot]; }
  const SlotInfo& info(std::uint32_t slot) const noexcept { return info_[slot]; }
  Dispatches& dispatches(std::uint32_t slot) noexcept { return dispatches_[slot]; }
  const Dispatches& dispatches(std::uint32_t slot) const noexcept { return dispatches_[slot]; }
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(hot_.size()); }

  void prefetch(std::uint32_t slot) const noexcept { __builtin_prefetch(hot_.data() + slot, 1); }
  bool alive(TaskId id) const noexcept {
    return id.slot < generations_.size() && generations_[id.slot] == id.generation;
  }
  // For ids that this graph made itself, and the one of none, while there is a task at all.
  bool ours_alive(TaskId id) const noexcept { return generations_[id.slot] == id.generation; }
  TaskId id(std::uint32_t slot) const noexcept { return {slot, generations_[slot]}; }

  // As new, in the memory that there is.
  void clear() noexcept {
    hot_.clear();
    generations_.clear();
    info_.clear();
    dispatches_.clear();
    free_ = none;
  }
  std::size_t capacity() const noexcept { return hot_.capacity(); }

  std::uint32_t take() {
    if (free_ == none) {
      hot_.emplace_back();
      generations_.push_back(1);
      info_.emplace_back();
      dispatches_.emplace_back();
      return size() - 1;
    }
    const std::uint32_t slot = free_;
    free_ = hot_[slot].next;
    if (free_ != none) {  // it may have been another thread's last
      prefetch(free_);
      __builtin_prefetch(info_.data() + free_, 1);
    }
    return slot;
  }
  void give(std::uint32_t slot) noexcept {
    Slot& s = hot_[slot];
    s.state = TaskState::none;
    if (++generations_[slot] == 0) generations_[slot] = 1;
    s.next = free_;
    free_ = slot;
  }

 private:
  std::vector<Slot> hot_;
  std::vector<std::uint32_t> generations_;  // asked for all the time: together they fit the first cache
  std::vector<SlotInfo> info_;
  std::vector<Dispatches> dispatches_;
  std::uint32_t free_ = none;
};

}  // namespace troupe::runtime::graph

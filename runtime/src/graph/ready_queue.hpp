#pragma once

#include <algorithm>
#include <vector>

#include "graph/slots.hpp"

namespace troupe::runtime::graph {

// The ready tasks of one kind: a list through the slots for priority 0, a heap beside it for the others.
class ReadyQueue {
 public:
  void push(Slots& slots, std::uint32_t slot) {
    ++count_;
    if (slots[slot].is(prioritized)) {
      const SlotInfo& info = slots.info(slot);
      heap_.push_back({info.priority, info.serial, slot});
      std::push_heap(heap_.begin(), heap_.end());
      return;
    }
    slots[slot].next = none;
    (head_ == none ? head_ : slots[tail_].next) = slot;
    tail_ = slot;
  }

  std::uint32_t pop(Slots& slots) {
    if (!heap_.empty() && (heap_.front().priority > 0 || head_ == none)) {
      std::pop_heap(heap_.begin(), heap_.end());
      const std::uint32_t slot = heap_.back().slot;
      heap_.pop_back();
      --count_;
      return slot;
    }
    const std::uint32_t slot = head_;
    if (slot == none) return none;
    head_ = slots[slot].next;
    if (head_ != none) slots.prefetch(head_);
    --count_;
    return slot;
  }

  // Cancelling is rare and may walk.
  void remove(Slots& slots, std::uint32_t slot) {
    --count_;
    if (slots[slot].is(prioritized)) {
      std::erase_if(heap_, [slot](const Entry& entry) { return entry.slot == slot; });
      std::make_heap(heap_.begin(), heap_.end());
      return;
    }
    std::uint32_t before = none;
    for (std::uint32_t at = head_; at != slot; at = slots[at].next) before = at;
    (before == none ? head_ : slots[before].next) = slots[slot].next;
    if (tail_ == slot) tail_ = before;
  }

  // As new, in the memory that there is.
  void clear() noexcept {
    head_ = tail_ = none;
    count_ = 0;
    heap_.clear();
  }

  std::uint32_t count() const noexcept { return count_; }

 private:
  struct Entry {
    std::int32_t priority;
    std::uint64_t serial;
    std::uint32_t slot;
    bool operator<(const Entry& other) const noexcept {
      return priority != other.priority ? priority < other.priority : serial > other.serial;
    }
  };
  std::uint32_t head_ = none, tail_ = none, count_ = 0;
  std::vector<Entry> heap_;
};

}  // namespace troupe::runtime::graph

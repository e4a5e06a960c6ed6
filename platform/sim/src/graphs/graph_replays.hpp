#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "graphs/graph_replay.hpp"

namespace troupe::platform::sim {

/// The replays of a run: which of their steps may run. No inference, counters alone. With the baton.
class GraphReplays {
 public:
  GraphReplays(TaskRecords& records, const Pace& pace) : records_(records), pace_(pace) {}

  /// One to be handed in, empty; it stays the pool's.
  GraphReplay& take();
  /// It is over, or never began.
  void give_back(GraphReplay& replay) noexcept;

  /// Its slots have addresses: the steps that wait for nothing are ready.
  void begin(GraphReplay& replay);
  std::uint32_t ready_count(std::uint8_t kind) const noexcept {
    return kind < ready_.size() ? static_cast<std::uint32_t>(ready_[kind].size()) : 0;
  }
  /// The next ready step of that kind, running, as a record that is not expanded yet; null: there is none.
  TaskRecord* pop(std::uint8_t kind) { return ready_count(kind) == 0 ? nullptr : take_next(kind); }
  /// The step that waits for this one alone, which was popped and is to be run by the same thread directly
  /// before it, on a core of the same kind; null: there is none.
  TaskRecord* follow(TaskRecord& task);
  /// A step that was popped has ended well: those that waited for it alone are ready. True: that was the last
  /// of its replay.
  bool complete(const TaskRecord& task);
  /// One that was popped has ended, and brings about nothing. True: nothing of its replay runs.
  static bool end(const TaskRecord& task) noexcept { return --task.replay->running == 0; }
  /// One that was popped is ready again; its record is the caller's to give back.
  void requeue(const TaskRecord& task);
  /// The run is over, and its records are gone.
  void forget_all() noexcept;
  /// Nothing starts any more.
  void drop_ready() noexcept;
  /// Calls `visit` for those that have begun and are not over.
  template <class Visit>
  void for_each_begun(Visit visit) {
    for (auto& replay : all_) {
      if (replay.begun) visit(replay);
    }
  }

 private:
  struct Ready {
    GraphReplay* replay;
    std::uint32_t step;
  };
  /// First in, first out, in one piece of memory.
  class Queue {
   public:
    std::size_t size() const noexcept { return items_.size() - next_; }
    void push(Ready item) { items_.push_back(item); }
    Ready pop() noexcept {
      const Ready item = items_[next_++];
      if (next_ == items_.size()) clear();
      return item;
    }
    void clear() noexcept {
      items_.clear();
      next_ = 0;
    }

   private:
    std::vector<Ready> items_;
    std::size_t next_ = 0;
  };

  void make_ready(GraphReplay& replay, std::uint32_t step);
  void release(GraphReplay& replay, std::uint32_t ended);
  TaskRecord* take_next(std::uint8_t kind);
  TaskRecord* make_task(GraphReplay& replay, std::uint32_t number, std::uint8_t kind);
  Kind kind_of(const GraphReplay& replay, std::uint32_t step) const noexcept;

  TaskRecords& records_;
  const Pace& pace_;
  std::array<Queue, kinds::node> ready_;
  std::deque<GraphReplay> all_;
  std::vector<GraphReplay*> idle_;
  std::uint64_t numbers_ = 0;
  std::vector<std::uint32_t> empty_;  ///< ended steps without work whose successors were not looked at
};

}  // namespace troupe::platform::sim

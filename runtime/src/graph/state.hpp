#pragma once

#include <array>
#include <optional>
#include <vector>

#include "graph/intermediates.hpp"
#include "graph/ready_queue.hpp"
#include "graph/region_index.hpp"
#include "graph/slots.hpp"
#include "troupe/runtime/ring.hpp"
#include "troupe/runtime/task_args.hpp"
#include "troupe/runtime/task_graph.hpp"

namespace troupe::runtime {

// Everything a graph is. The life of a task, and where each step lives:
//   submit.cpp   check, take a slot, infer edges                        -> pending
//   run.cpp      producers gone, memory there -> ready -> popped -> answered -> successors released
//   memory.cpp   intermediates, scopes, blocked tasks
//   failure.cpp  poison, cancel, what is remembered about failures
//   report.cpp   status, why, deadlock
struct TaskGraph::State {
  explicit State(const TaskGraphConfig& configuration)
      : config(configuration), regions(slots, failures, chunks), intermediates(configuration, chunks) {}

  // task_graph.cpp
  void clear(const TaskGraphConfig& configuration);
  bool is_large() const noexcept;

  // submit.cpp
  Result<TaskId> submit(const TaskSpec& spec);
  std::optional<Error> check(const TaskSpec& spec);
  std::optional<Error> check_access(const TaskSpec& spec, std::size_t index, const Access& access);
  std::optional<Error> check_memory(const TaskSpec& spec);
  bool has_room() const noexcept;
  // An access with its absolute addresses and the hash of its region.
  struct Look {
    std::uint64_t base, lo, hi;
    graph::Owner owner;
    const Box* box;  // null for a plain range
    const Access* access;
    std::uint32_t region;
    std::uint32_t cell;  // a guess
    bool reader, writer;
  };
  void depend(TaskId id, const Look& look);
  void depend_on_near(std::uint32_t task, std::uint32_t cell, bool reads, bool writes);
  void edge(TaskId producer, std::uint32_t task, bool order_only) {
    if (slots.ours_alive(producer)) {
      live_edge(producer, task, order_only);
    } else if (!order_only && !failures.empty()) {
      poison(task, producer);
    }
  }
  // Makes `task` wait for `producer`; order_only: without needing its result.
  void live_edge(TaskId producer, std::uint32_t task, bool order_only) {
    if (producer.slot == task) return;
    graph::Slot& p = slots[producer.slot];
    const std::uint32_t count = p.successor_count;
    if (count >= graph::Slot::inline_successors) return live_edge_in_chunks(producer, task, order_only);
    const std::uint32_t word = task | (order_only ? graph::Slot::order_only : 0);
    // Edges of one task come in a row, so a double can only be the last one.
    if (count != 0 && (p.successors[count - 1] & ~graph::Slot::order_only) == task) {
      p.successors[count - 1] &= word;  // needed once is needed
      return;
    }
    p.successors[count] = word;
    count_edge(p, producer.slot, task);
  }
  void live_edge_in_chunks(TaskId producer, std::uint32_t task, bool order_only);
  void count_edge(graph::Slot& producer, std::uint32_t slot, std::uint32_t task) {
    ++producer.successor_count;
    ++slots[task].pending;
    ++edges;
    if (producer.is(graph::on_executor)) count_dispatch(task, slots.info(slot).executor, true);
  }
  // The same place of another generation is other memory. Not so for intermediates: their cells are used
  // again with their slot, which forgets what failed there.
  graph::Owner owner_of(const BufferRef& ref) const noexcept {
    return graph::Owner{ref.arena} << 32U | (ref.arena == config.intermediate_arena ? 0 : ref.generation);
  }
  std::uint64_t base_of(const Access& access) const noexcept {
    return access.buffer.arena == config.intermediate_arena
               ? access.buffer.offset << graph::Intermediates::address_bits
               : access.buffer.offset;
  }

  // run.cpp
  void nothing_pending(std::uint32_t task);
  void make_ready(std::uint32_t task);
  Work start(std::uint32_t task);
  bool answer(TaskId id, const Error* error);
  void end(std::uint32_t task);
  void end_now(std::uint32_t task);
  void count_odd_end(TaskId id);
  void drain_ending();
  void producer_ended(TaskId producer, std::uint32_t task, bool poison);
  template <class Visit>
  void for_successors(const graph::Slot& slot, Visit visit) const;
  bool dispatched(TaskId id, ExecutorId executor);
  void count_dispatch(std::uint32_t task, ExecutorId executor, bool add);
  void offer(std::uint32_t task);
  bool on_one_executor(std::uint32_t task, ExecutorId executor) const noexcept;
  Work pop_in_order(ExecutorId executor);
  bool requeue(TaskId id);

  // memory.cpp
  void use(std::uint32_t task, const Access& access);
  void end_uses(std::uint32_t task);
  void drop(std::uint32_t intermediate);
  void placed(const std::vector<std::uint64_t>& tasks);

  // failure.cpp
  void remember(TaskId id, const Error& error);
  void poison(std::uint32_t task, TaskId producer);
  bool cancel(TaskId id, const Error& reason);
  void cancel_all(const Error& reason);

  // report.cpp
  std::string name_of(std::uint32_t task) const;
  std::string describe(std::uint32_t task, std::span<const std::string> names) const;
  std::vector<std::uint32_t> producers_of(std::uint32_t task) const;
  std::string why(std::uint32_t task, std::span<const std::string> names) const;
  std::optional<Error> deadlock() const;
  std::vector<std::uint32_t> find_cycle() const;

  struct Executor {
    std::uint8_t kind = 0;
    std::vector<TaskId> offers;  // a queue: [next, end)
    std::size_t next = 0;
  };
  static constexpr ExecutorId executor_limit = 1U << 16U;  // keeps the sums of squares in 64 bits
  static constexpr std::size_t remembered_failures = 4096;
  static constexpr std::size_t first_prune = 2 * remembered_failures;

  TaskGraphConfig config;
  graph::Slots slots;
  graph::ChunkPool chunks;
  graph::Failures failures;
  graph::RegionIndex regions;
  graph::Intermediates intermediates;
  std::array<graph::ReadyQueue, max_kinds> ready;
  std::vector<Executor> executors;
  std::array<std::uint32_t, limits::arenas> window{};
  std::uint64_t serial = 0, writes = 0, edges = 0;
  GraphStatus counts;
  std::uint32_t ending_head = graph::none, ending_tail = graph::none;  // by Slot::next
  bool draining = false, in_order = false, closed = false;
  std::uint8_t hand_kind = max_kinds;  // complete_and_pop: the kind it wants …
  std::uint32_t handed = graph::none;  // … and what it gets
  Ring<Ended> ended;
  Ring<std::uint64_t> failure_order;  // oldest first
  std::size_t prune_at = first_prune;
  std::optional<Error> cancelled;
  std::vector<Look> scratch;            // of submit()
  std::vector<std::uint64_t> released;  // scratch of end_uses()
};

template <class Visit>
void TaskGraph::State::for_successors(const graph::Slot& slot, Visit visit) const {
  const std::uint32_t direct = std::min(slot.successor_count, graph::Slot::inline_successors);
  for (std::uint32_t i = 0; i < direct; ++i) visit(slot.successors[i]);
  if (slot.successor_tail == graph::none) return;
  std::uint32_t c = slot.successor_tail;
  do {
    c = chunks[c].next;
    for (std::uint32_t i = 0; i < chunks[c].count; ++i) visit(chunks[c].narrow[i]);
  } while (c != slot.successor_tail);
}

}  // namespace troupe::runtime

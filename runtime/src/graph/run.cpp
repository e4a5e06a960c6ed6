#include "graph/state.hpp"

namespace troupe::runtime {

using graph::none;
using graph::Slot;

// All producers of a task have ended and all its events have come.
void TaskGraph::State::nothing_pending(std::uint32_t task) {
  Slot& slot = slots[task];
  if (slot.state == TaskState::running) {  // went ahead, in order
    if (slot.is(graph::answered)) end(task);
    return;
  }
  if (slot.is(graph::poisoned) || slot.is(graph::node_only)) {
    end(task);
  } else if (slot.unplaced != 0) {
    slot.state = TaskState::blocked;
    ++counts.blocked;
  } else {
    make_ready(task);
  }
}

void TaskGraph::State::make_ready(std::uint32_t task) {
  Slot& slot = slots[task];
  if (slot.kind == hand_kind && handed == none && !slot.is(graph::prioritized)) {
    handed = task;
    slot.state = TaskState::running;
    ++counts.running;
    return;
  }
  slot.state = TaskState::ready;
  ready[slot.kind].push(slots, task);
  ++counts.ready;
}

Work TaskGraph::State::start(std::uint32_t task) {
  slots[task].state = TaskState::running;
  ++counts.running;
  return {slots.id(task), slots[task].cookie};
}

// One member of a running task says how it went.
bool TaskGraph::State::answer(TaskId id, const Error* error) {
  if (!slots.alive(id)) return false;
  Slot& slot = slots[id.slot];
  if (slot.state != TaskState::running || slot.members == 0) return false;
  if (error != nullptr && !slot.is(graph::failed) && !slot.is(graph::poisoned)) {
    slot.set(graph::failed);
    remember(id, *error);
  }
  if (--slot.members != 0) return true;
  if (slot.pending != 0) {
    slot.set(graph::answered);  // before its producers: it passes on when they have ended
    return true;
  }
  end(id.slot);
  drain_ending();
  return true;
}

void TaskGraph::State::end(std::uint32_t task) {
  if (!draining) {
    // The usual chain: nothing else is ending, so no list is needed.
    draining = true;
    end_now(task);
    draining = false;
    return;
  }
  slots[task].next = none;
  (ending_head == none ? ending_head : slots[ending_tail].next) = task;
  ending_tail = task;
}

// Poison travels along a list, not along the stack.
void TaskGraph::State::drain_ending() {
  while (ending_head != none && !draining) {
    const std::uint32_t task = ending_head;
    ending_head = slots[task].next;
    draining = true;
    end_now(task);
    draining = false;
  }
}

void TaskGraph::State::end_now(std::uint32_t task) {
  Slot& slot = slots[task];
  const TaskId id = slots.id(task);
  const bool bad = slot.is(graph::poisoned) || slot.is(graph::failed);
  if (slot.state == TaskState::running) --counts.running;
  if (bad || slot.is(graph::node_only)) {
    count_odd_end(id);
  } else {
    ++counts.completed;
  }
  --counts.live;
  --window[slot.ring];
  edges -= slot.successor_count;
  if (slot.successor_count != 0) {
    if (slot.successor_count > 1) {
      for_successors(slot, [&](std::uint32_t word) { slots.prefetch(word & ~Slot::order_only); });
    }
    if (bad || in_order) {
      for_successors(slot, [&](std::uint32_t word) {
        producer_ended(id, word & ~Slot::order_only, bad && (word & Slot::order_only) == 0);
      });
    } else {
      for_successors(slot, [&](std::uint32_t word) {
        const std::uint32_t successor = word & ~Slot::order_only;
        if (--slots[successor].pending == 0) nothing_pending(successor);
      });
    }
    if (slot.successor_tail != none) {
      std::uint32_t ring = chunks[slot.successor_tail].next;
      chunks[slot.successor_tail].next = none;
      chunks.clear(ring);
    }
  }
  if (slot.is(graph::has_uses)) end_uses(task);
  slots.give(task);
}

// It failed, must not run, or has no work.
void TaskGraph::State::count_odd_end(TaskId id) {
  const Slot& slot = slots[id.slot];
  if (slot.is(graph::poisoned)) {
    const Error& error = failures.at(graph::pack(id));
    ++(error == Errc::cancelled ? counts.cancelled : counts.poisoned);
    if (slot.state != TaskState::running) ended.push_back({id, slot.cookie, error});
  } else if (slot.is(graph::failed)) {
    ++counts.failed;
  } else {
    ++counts.completed;
    ended.push_back({id, slot.cookie, std::nullopt});
  }
}

void TaskGraph::State::producer_ended(TaskId producer, std::uint32_t task, bool bad) {
  if (bad) poison(task, producer);
  if (slots[producer.slot].is(graph::on_executor)) {
    count_dispatch(task, slots.info(producer.slot).executor, false);
  }
  if (--slots[task].pending == 0) {
    nothing_pending(task);
  } else if (in_order) {
    offer(task);
  }
}

// --- in-order dispatch
// ---------------------------------------------------------------------------------------

bool TaskGraph::State::dispatched(TaskId id, ExecutorId executor) {
  if (!slots.alive(id) || executor >= executor_limit) return false;
  Slot& slot = slots[id.slot];
  if (slot.state != TaskState::running || slot.is(graph::on_executor)) return false;
  in_order = true;
  if (executor >= executors.size()) executors.resize(executor + 1U);
  executors[executor].kind = slot.kind;
  slot.set(graph::on_executor);
  slots.info(id.slot).executor = executor;
  for_successors(slot, [&](std::uint32_t word) {
    const std::uint32_t task = word & ~Slot::order_only;
    count_dispatch(task, executor, true);
    offer(task);
  });
  return true;
}

void TaskGraph::State::count_dispatch(std::uint32_t task, ExecutorId executor, bool add) {
  graph::Dispatches& of = slots.dispatches(task);
  const std::uint64_t square = std::uint64_t{executor} * executor;
  if (add) {
    ++of.count;
    of.executor_sum += executor;
    of.executor_squares += square;
  } else {
    --of.count;
    of.executor_sum -= executor;
    of.executor_squares -= square;
  }
}

// Numbers whose sum is n * x and whose squares sum to n * x * x are all x.
bool TaskGraph::State::on_one_executor(std::uint32_t task, ExecutorId executor) const noexcept {
  const graph::Dispatches& of = slots.dispatches(task);
  const std::uint64_t n = of.count, x = executor;
  return n != 0 && n == slots[task].pending && of.executor_sum == n * x && of.executor_squares == n * x * x;
}

void TaskGraph::State::offer(std::uint32_t task) {
  Slot& slot = slots[task];
  const graph::Dispatches& of = slots.dispatches(task);
  if (of.count == 0 || of.count != slot.pending || slot.state != TaskState::pending) return;
  constexpr auto unfit = graph::node_only | graph::poisoned | graph::offered;
  if ((slot.flags & unfit) != 0 || slot.unplaced != 0 || slot.members != 1) return;
  const auto executor = static_cast<ExecutorId>(of.executor_sum / of.count);
  if (!on_one_executor(task, executor) || executors[executor].kind != slot.kind) return;
  const ExecutorId bound = slots.info(task).bound;
  if (bound != any_executor && bound != executor) return;
  slot.set(graph::offered);
  executors[executor].offers.push_back(slots.id(task));
}

Work TaskGraph::State::pop_in_order(ExecutorId executor) {
  if (executor >= executors.size()) return {};
  Executor& e = executors[executor];
  while (e.next < e.offers.size()) {
    const TaskId id = e.offers[e.next++];
    if (!slots.alive(id)) continue;
    Slot& slot = slots[id.slot];
    slot.unset(graph::offered);
    if (slot.state != TaskState::pending || slot.is(graph::poisoned) || !on_one_executor(id.slot, executor))
      continue;
    return start(id.slot);
  }
  e.offers.clear();
  e.next = 0;
  return {};
}

bool TaskGraph::State::requeue(TaskId id) {
  if (!slots.alive(id)) return false;
  Slot& slot = slots[id.slot];
  if (slot.state != TaskState::running || slot.members != slots.info(id.slot).members) return false;
  if (slot.is(graph::on_executor)) {
    slot.unset(graph::on_executor);
    const ExecutorId executor = slots.info(id.slot).executor;
    for_successors(slot,
                   [&](std::uint32_t word) { count_dispatch(word & ~Slot::order_only, executor, false); });
  }
  --counts.running;
  slot.state = TaskState::pending;
  if (slot.pending == 0) {
    nothing_pending(id.slot);
    drain_ending();
  }
  return true;
}

}  // namespace troupe::runtime

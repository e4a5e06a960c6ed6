#include <string>
#include <unordered_set>

#include "graph/state.hpp"

namespace troupe::runtime {

using graph::none;
using graph::Slot;

namespace {

// A chain of many poisoned tasks keeps this many links, then its root: errors stay small and readable.
constexpr int chain_links = 8;

Error because(Error error, const Error& cause) {
  int links = 0;
  for (const Error* link = &cause; link != nullptr; link = link->cause()) ++links;
  return error.caused_by(links < chain_links ? cause : cause.root());
}

}  // namespace

// Failures outlive their tasks: data of a failed writer poisons who reads it later. What no data and no
// recent question can refer to is forgotten, so a program that goes on after failures stays flat.
void TaskGraph::State::remember(TaskId id, const Error& error) {
  if (!failures.emplace(graph::pack(id), error).second) return;
  failure_order.push_back(graph::pack(id));
  if (failure_order.size() < prune_at) return;
  std::unordered_set<std::uint64_t> referenced;
  regions.visit_cells([&](const graph::Cell& cell) { referenced.insert(graph::pack(cell.writer)); });
  Ring<std::uint64_t> kept;
  const std::size_t old = failure_order.size() - remembered_failures;
  for (std::size_t i = 0; i < failure_order.size(); ++i) {
    const std::uint64_t word = failure_order[i];
    if (i >= old || referenced.contains(word) || slots.alive(graph::unpack(word))) {
      kept.push_back(word);
    } else {
      failures.erase(word);
    }
  }
  failure_order.swap(kept);
  prune_at = 2 * std::max(failure_order.size(), remembered_failures);
}

void TaskGraph::State::poison(std::uint32_t task, TaskId producer) {
  Slot& slot = slots[task];
  if (slot.is(graph::poisoned) || slot.is(graph::failed)) return;
  const auto cause = failures.find(graph::pack(producer));
  if (cause == failures.end()) return;
  slot.set(graph::poisoned);
  const std::string from = slots.alive(producer) ? name_of(producer.slot) : std::string("an earlier task");
  remember(slots.id(task), because(Error(Errc::poisoned, name_of(task) + " was not run: it needs what " +
                                                             from + " was to leave behind"),
                                   cause->second));
}

bool TaskGraph::State::cancel(TaskId id, const Error& reason) {
  if (!slots.alive(id)) return false;
  Slot& slot = slots[id.slot];
  if (slot.state == TaskState::running) return false;
  if (slot.is(graph::poisoned)) return true;
  slot.set(graph::poisoned);
  remember(id, because(Error(Errc::cancelled, name_of(id.slot) + " was cancelled"), reason));
  if (slot.state == TaskState::ready) {
    ready[slot.kind].remove(slots, id.slot);
    --counts.ready;
  } else if (slot.state == TaskState::blocked) {
    --counts.blocked;
  }
  slot.state = TaskState::pending;
  // Events are not waited for any more.
  slot.pending -= slots.info(id.slot).events;
  slots.info(id.slot).events = 0;
  if (slot.pending == 0) {
    end(id.slot);
    drain_ending();
  }
  return true;
}

void TaskGraph::State::cancel_all(const Error& reason) {
  if (!cancelled) cancelled = reason;
  // Empty the queues first, so that no cancel has to search them.
  for (graph::ReadyQueue& queue : ready) {
    for (std::uint32_t task = queue.pop(slots); task != none; task = queue.pop(slots)) {
      slots[task].state = TaskState::pending;
      --counts.ready;
    }
  }
  // In reverse, a poisoned task is not yet poisoned by its producer: each is cancelled for its own sake.
  const std::uint32_t count = slots.size();
  draining = true;  // collect what ends, so that no slot is given back in between
  for (std::uint32_t task = 0; task < count; ++task) {
    if (slots[task].state != TaskState::none) (void)cancel(slots.id(task), reason);
  }
  draining = false;
  drain_ending();
}

}  // namespace troupe::runtime

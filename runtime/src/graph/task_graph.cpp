#include "troupe/runtime/task_graph.hpp"

#include <utility>

#include "graph/state.hpp"

namespace troupe::runtime {

using graph::none;
using graph::Slot;

TaskGraph::TaskGraph(const TaskGraphConfig& config) : state_(std::make_unique<State>(config)) {}
TaskGraph::~TaskGraph() = default;
TaskGraph::TaskGraph(TaskGraph&&) noexcept = default;
TaskGraph& TaskGraph::operator=(TaskGraph&&) noexcept = default;

void TaskGraph::restart(const TaskGraphConfig& config) {
  if (state_->is_large()) {
    state_ = std::make_unique<State>(config);
  } else {
    state_->clear(config);
  }
}

// What nobody wants to keep after one run that needed it.
bool TaskGraph::State::is_large() const noexcept {
  constexpr std::size_t most_kept = 4096;
  return slots.capacity() > most_kept || chunks.capacity() > most_kept || regions.capacity() > most_kept ||
         intermediates.capacity() > most_kept;
}

// Every member, in their order.
void TaskGraph::State::clear(const TaskGraphConfig& configuration) {
  config = configuration;
  slots.clear();
  chunks.clear();
  failures.clear();
  regions.clear();
  intermediates.clear(configuration);
  for (auto& queue : ready) queue.clear();
  executors.clear();
  window = {};
  serial = writes = edges = 0;
  counts = {};
  ending_head = ending_tail = none;
  draining = in_order = closed = false;
  hand_kind = max_kinds;
  handed = none;
  ended.clear();
  failure_order.clear();
  prune_at = first_prune;
  cancelled.reset();
  scratch.clear();
  released.clear();
}

Result<TaskId> TaskGraph::submit(const TaskSpec& spec) { return state_->submit(spec); }
bool TaskGraph::has_room() const noexcept { return state_->has_room(); }

Result<void> TaskGraph::add_edge(TaskId before, TaskId after) {
  State& s = *state_;
  if (!s.slots.alive(after) || s.slots[after.slot].state != TaskState::pending) {
    return Error(Errc::invalid_args, "an edge leads to a task that is gone, running or about to run",
                 "hold tasks back with TaskSpec::events while the graph is built");
  }
  if (before == after) {
    return Error(Errc::invalid_args, s.name_of(after.slot) + " cannot wait for itself");
  }
  if (before.slot < s.slots.size()) s.edge(before, after.slot, false);
  return {};
}

bool TaskGraph::signal(TaskId id) {
  State& s = *state_;
  if (!s.slots.alive(id) || s.slots.info(id.slot).events == 0) return false;
  --s.slots.info(id.slot).events;
  if (--s.slots[id.slot].pending == 0) {
    s.nothing_pending(id.slot);
    s.drain_ending();
  } else if (s.in_order) {
    s.offer(id.slot);
  }
  return true;
}

bool TaskGraph::signal(TaskId id, const Error& error) {
  State& s = *state_;
  if (!s.slots.alive(id) || s.slots.info(id.slot).events == 0) return false;
  Slot& slot = s.slots[id.slot];
  if (!slot.is(graph::poisoned)) {
    slot.set(graph::poisoned);
    s.remember(id, Error(Errc::poisoned, s.name_of(id.slot) + " was not run: an event it waits for failed")
                       .caused_by(error));
  }
  return signal(id);
}

Work TaskGraph::pop_ready(std::uint8_t kind) {
  State& s = *state_;
  if (kind >= max_kinds) return {};
  const std::uint32_t task = s.ready[kind].pop(s.slots);
  if (task == none) return {};
  --s.counts.ready;
  return s.start(task);
}

std::uint32_t TaskGraph::ready_count(std::uint8_t kind) const noexcept {
  return kind < max_kinds ? state_->ready[kind].count() : 0;
}

bool TaskGraph::dispatched(TaskId task, ExecutorId executor) { return state_->dispatched(task, executor); }
Work TaskGraph::pop_in_order(ExecutorId executor) { return state_->pop_in_order(executor); }
bool TaskGraph::requeue(TaskId task) { return state_->requeue(task); }

bool TaskGraph::is_poisoned(TaskId task) const noexcept {
  return state_->slots.alive(task) && state_->slots[task.slot].is(graph::poisoned);
}

bool TaskGraph::complete(TaskId task) { return state_->answer(task, nullptr); }
bool TaskGraph::fail(TaskId task, const Error& error) { return state_->answer(task, &error); }

Work TaskGraph::complete_and_pop(TaskId task) {
  State& s = *state_;
  if (!s.slots.alive(task)) return {};
  s.hand_kind = s.slots[task.slot].kind;
  s.handed = none;
  (void)s.answer(task, nullptr);
  s.hand_kind = max_kinds;
  const std::uint32_t next = std::exchange(s.handed, none);
  if (next == none) return {};
  return {s.slots.id(next), s.slots[next].cookie};
}

bool TaskGraph::cancel(TaskId task, const Error& reason) { return state_->cancel(task, reason); }
void TaskGraph::cancel_all(const Error& reason) { state_->cancel_all(reason); }

std::optional<Ended> TaskGraph::pop_ended() {
  State& s = *state_;
  if (s.ended.empty()) return std::nullopt;
  std::optional<Ended> first = std::move(s.ended.front());
  s.ended.pop_front();
  return first;
}

GraphStatus TaskGraph::status() const noexcept {
  GraphStatus status = state_->counts;
  status.pending = status.live - status.ready - status.running - status.blocked;
  return status;
}

std::uint32_t TaskGraph::live() const noexcept { return state_->counts.live; }

TaskState TaskGraph::state(TaskId task) const noexcept {
  return state_->slots.alive(task) ? state_->slots[task.slot].state : TaskState::none;
}

std::uint32_t TaskGraph::waits_for(TaskId task) const noexcept {
  return state_->slots.alive(task) ? state_->slots[task.slot].pending : 0;
}

std::uint64_t TaskGraph::cookie(TaskId task) const noexcept {
  return state_->slots.alive(task) ? state_->slots[task.slot].cookie : 0;
}

std::string_view TaskGraph::name(TaskId task) const noexcept {
  return state_->slots.alive(task) ? state_->slots.info(task.slot).name : std::string_view{};
}

std::optional<Error> TaskGraph::error(TaskId task) const {
  const auto found = state_->failures.find(graph::pack(task));
  if (found == state_->failures.end()) return std::nullopt;
  return found->second;
}

Result<bool> TaskGraph::settled(const Access& access) const {
  const State& s = *state_;
  if (access.lo >= access.hi || access.tag == Tag::no_dep) return true;
  Box box;
  if (access.box != nullptr) box = *access.box;
  const graph::Owner owner = s.owner_of(access.buffer);
  const std::uint64_t base = s.base_of(access);
  box.lo = base + access.lo;
  box.hi = base + access.hi;
  // The newest write of all these bytes hides what failed before it.
  std::uint64_t shadow = 0;
  s.regions.visit_overlaps(owner, box, [&](std::uint32_t at, bool covering) {
    if (covering) shadow = std::max(shadow, s.regions[at].written);
  });
  bool busy = false;
  const Error* failed = nullptr;
  s.regions.visit_overlaps(owner, box, [&](std::uint32_t at, bool) {
    const graph::Cell& cell = s.regions[at];
    busy |= s.slots.alive(cell.writer);
    if (writes(access.tag)) {
      busy |= s.regions.any_reader(cell, [&](TaskId reader) { return s.slots.alive(reader); });
    }
    const auto found = s.failures.find(graph::pack(cell.writer));
    if (reads(access.tag) && cell.written >= shadow && found != s.failures.end()) failed = &found->second;
  });
  if (busy) return false;
  if (failed != nullptr) return Error(Errc::poisoned, "the data was not written").caused_by(*failed);
  return true;
}

std::string TaskGraph::why(TaskId task, std::span<const std::string> executors) const {
  return state_->slots.alive(task) ? state_->why(task.slot, executors) : "no such task (any more)";
}

std::optional<Error> TaskGraph::deadlock() const { return state_->deadlock(); }

}  // namespace troupe::runtime

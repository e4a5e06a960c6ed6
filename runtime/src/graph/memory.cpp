#include "graph/state.hpp"

namespace troupe::runtime {

using graph::Intermediate;
using graph::none;
using graph::Slot;

// Holds an intermediate for a task; the first use asks for its memory.
void TaskGraph::State::use(std::uint32_t task, const Access& access) {
  if (access.buffer.arena != config.intermediate_arena) return;
  const auto at = static_cast<std::uint32_t>(access.buffer.offset);
  ++intermediates[at].uses;
  chunks.push(slots[task].uses, at);
  if (intermediates[at].state == Intermediate::State::unasked) intermediates.ask(at);
  if (intermediates[at].state == Intermediate::State::queued) {
    ++slots[task].unplaced;
    chunks.push(intermediates[at].waiters, graph::pack(slots.id(task)));
  }
}

void TaskGraph::State::end_uses(std::uint32_t task) {
  for (std::uint32_t c = slots[task].uses; c != none; c = chunks[c].next) {
    for (std::uint32_t i = 0; i < chunks[c].count; ++i) {
      const auto at = static_cast<std::uint32_t>(chunks[c].wide[i]);
      if (--intermediates[at].uses == 0 && !intermediates[at].nameable()) drop(at);
    }
  }
  chunks.clear(slots[task].uses);
}

void TaskGraph::State::drop(std::uint32_t at) {
  const std::uint32_t arena = intermediates[at].arena;
  if (!failures.empty()) {
    const std::uint64_t base = std::uint64_t{at} << graph::Intermediates::address_bits;
    regions.forget(owner_of({config.intermediate_arena, 0, 0}), base, base + intermediates[at].bytes);
  }
  intermediates.drop(at);
  released.clear();
  intermediates.place_queued(arena, released);
  if (!released.empty()) placed(released);
}

// One of the intermediates of each of these tasks has got its memory.
void TaskGraph::State::placed(const std::vector<std::uint64_t>& tasks) {
  for (const std::uint64_t word : tasks) {
    const TaskId id = graph::unpack(word);
    if (!slots.alive(id)) continue;
    Slot& slot = slots[id.slot];
    if (--slot.unplaced != 0) continue;
    if (slot.state == TaskState::blocked) {
      --counts.blocked;
      make_ready(id.slot);
    } else if (in_order) {
      offer(id.slot);
    }
  }
}

Result<void> TaskGraph::begin_scope() {
  State& s = *state_;
  if (s.closed) return Error(Errc::invalid_args, "a scope cannot begin: the graph is closed");
  if (s.intermediates.depth() >= s.config.scope_depth) {
    return Error(Errc::invalid_args,
                 "a scope cannot begin: " + std::to_string(s.config.scope_depth) + " scopes are open already",
                 "end scopes before opening more");
  }
  s.intermediates.open_scope();
  return {};
}

Result<void> TaskGraph::end_scope() {
  State& s = *state_;
  if (s.intermediates.depth() == 0) return Error(Errc::invalid_args, "a scope cannot end: none was begun");
  s.intermediates.close_scope([&](std::uint32_t at) { s.drop(at); });
  return {};
}

void TaskGraph::close() {
  State& s = *state_;
  if (s.closed) return;
  while (s.intermediates.depth() > 0) (void)end_scope();
  s.closed = true;
  s.intermediates.close_scope([&](std::uint32_t at) { s.drop(at); });
  s.intermediates.open_scope();  // depth() stays meaningful
}

std::uint32_t TaskGraph::depth() const noexcept { return state_->intermediates.depth(); }

Result<BufferRef> TaskGraph::alloc(std::uint64_t bytes, std::string_view name) {
  State& s = *state_;
  const std::string who =
      name.empty() ? std::string("an intermediate") : "the intermediate \"" + std::string(name) + "\"";
  if (s.closed) return Error(Errc::invalid_args, who + " cannot be made: the graph is closed");
  if (bytes == 0) return Error(Errc::invalid_args, who + " would have no bytes");
  const std::uint8_t arena = graph::Intermediates::arena_of(s.intermediates.depth());
  const BlockArena& blocks = s.intermediates.arena(arena);
  if (blocks.rounded(bytes) > blocks.bytes() || bytes >= std::uint64_t{1}
                                                             << graph::Intermediates::address_bits) {
    return Error(Errc::heap_ring_deadlock,
                 who + " of " + std::to_string(bytes) + " bytes is larger than arena " +
                     std::to_string(arena) + "\n" + s.intermediates.map(arena),
                 "give the arena more memory");
  }
  const std::uint32_t at = s.intermediates.create(s.intermediates.depth(), bytes, name);
  return BufferRef{s.config.intermediate_arena, s.intermediates[at].generation, at};
}

bool TaskGraph::retain(BufferRef ref) {
  State& s = *state_;
  const std::uint32_t at = ref.arena == s.config.intermediate_arena ? s.intermediates.find(ref) : none;
  if (at == none || !s.intermediates[at].nameable()) return false;
  ++s.intermediates[at].handles;
  return true;
}

bool TaskGraph::release(BufferRef ref) {
  State& s = *state_;
  const std::uint32_t at = ref.arena == s.config.intermediate_arena ? s.intermediates.find(ref) : none;
  if (at == none || !s.intermediates[at].nameable()) return false;
  if (--s.intermediates[at].handles == 0 && s.intermediates[at].uses == 0) s.drop(at);
  return true;
}

std::optional<Placement> TaskGraph::placement(BufferRef ref) const {
  const State& s = *state_;
  const std::uint32_t at = ref.arena == s.config.intermediate_arena ? s.intermediates.find(ref) : none;
  if (at == none || s.intermediates[at].state != Intermediate::State::placed) return std::nullopt;
  const Intermediate& i = s.intermediates[at];
  return Placement{i.arena, i.grant.offset, i.grant.bytes};
}

std::string TaskGraph::memory_map() const { return state_->intermediates.map(); }

}  // namespace troupe::runtime

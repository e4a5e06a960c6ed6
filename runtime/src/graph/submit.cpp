#include <algorithm>
#include <limits>
#include <string>

#include "graph/state.hpp"

namespace troupe::runtime {

using graph::Cell;
using graph::Near;
using graph::none;
using graph::Slot;
using graph::SlotInfo;

namespace {

Error refused(const TaskSpec& spec, Errc code, const std::string& why, std::string hint = {}) {
  const std::string who = spec.name.empty() ? "a task" : "task \"" + std::string(spec.name) + "\"";
  return Error(code, who + " cannot be submitted: " + why, std::move(hint));
}

bool is_refused(std::uint32_t live, std::uint32_t limit) noexcept { return limit != 0 && live >= limit; }

}  // namespace

bool TaskGraph::State::has_room() const noexcept {
  return !is_refused(window[graph::Intermediates::arena_of(intermediates.depth())], config.task_window) &&
         (config.edge_limit == 0 || edges < config.edge_limit);
}

std::optional<Error> TaskGraph::State::check_access(const TaskSpec& spec, std::size_t index,
                                                    const Access& access) {
  const auto complain = [&](const std::string& why) {
    return refused(spec, Errc::invalid_args, "argument " + std::to_string(index) + " " + why);
  };
  if (static_cast<std::uint8_t>(access.tag) > static_cast<std::uint8_t>(Tag::no_dep)) {
    return complain("has an unknown tag");
  }
  if (access.lo > access.hi || access.hi > access.buffer_bytes ||
      (access.box != nullptr && (access.box->lo != access.lo || access.box->hi != access.hi))) {
    return complain("reaches outside its buffer");
  }
  if (access.buffer.arena != config.intermediate_arena) {
    if (access.buffer_bytes > std::numeric_limits<std::uint64_t>::max() - access.buffer.offset) {
      return complain("reaches past the end of the address space");
    }
    return std::nullopt;
  }
  const std::uint32_t slot = intermediates.find(access.buffer);
  if (slot == none) return complain("names an intermediate that is gone");
  if (!intermediates[slot].nameable())
    return complain("names an intermediate whose scope or last handle has ended");
  if (access.buffer_bytes > intermediates[slot].bytes)
    return complain("is larger than the intermediate it names");
  return std::nullopt;
}

// What one task touches has to be there at once.
std::optional<Error> TaskGraph::State::check_memory(const TaskSpec& spec) {
  std::array<std::uint64_t, limits::arenas> needed{};
  const std::uint32_t stamp = intermediates.next_stamp();
  for (const Access& access : spec.accesses) {
    if (access.buffer.arena != config.intermediate_arena) continue;
    graph::Intermediate& i = intermediates[static_cast<std::uint32_t>(access.buffer.offset)];
    if (i.stamp == stamp) continue;
    i.stamp = stamp;
    needed[i.arena] += intermediates.rounded(static_cast<std::uint32_t>(access.buffer.offset));
    if (needed[i.arena] <= intermediates.arena(i.arena).bytes()) continue;
    return refused(spec, Errc::heap_ring_deadlock,
                   "its intermediates take " + std::to_string(needed[i.arena]) + " bytes or more of arena " +
                       std::to_string(i.arena) + "\n" + intermediates.map(i.arena),
                   "give the arena more memory, or use smaller intermediates");
  }
  return std::nullopt;
}

std::optional<Error> TaskGraph::State::check(const TaskSpec& spec) {
  if (cancelled) return refused(spec, Errc::cancelled, "the graph was cancelled").caused_by(*cancelled);
  if (closed) return refused(spec, Errc::invalid_args, "the graph is closed");
  if (!has_room()) {
    return refused(spec, Errc::would_block, "the task window is full", "let tasks end, then submit again");
  }
  if (spec.kind >= max_kinds) {
    return refused(spec, Errc::invalid_args, "kind " + std::to_string(spec.kind) + " does not exist");
  }
  if (spec.members == 0) return refused(spec, Errc::invalid_args, "a group has at least one member");
  for (std::size_t i = 0; i < spec.accesses.size(); ++i) {
    if (auto error = check_access(spec, i, spec.accesses[i])) return error;
  }
  return check_memory(spec);
}

Result<TaskId> TaskGraph::State::submit(const TaskSpec& spec) {
  // The usual case without a call; whatever is unusual is looked at again by check().
  bool odd = cancelled || closed || !has_room() || spec.kind >= max_kinds || spec.members == 0;
  bool uses = false, overwrites = false, reads_late = false;
  const std::size_t count = spec.accesses.size();
  if (scratch.size() < count) scratch.resize(count);
  Look* const looks = scratch.data();
  for (std::size_t i = 0; i < count; ++i) {
    const Access& access = spec.accesses[i];
    Look& look = looks[i];
    const bool symbolic = access.buffer.arena == config.intermediate_arena;
    const Box* box = access.box;
    look.base = symbolic ? access.buffer.offset << graph::Intermediates::address_bits : access.buffer.offset;
    look.lo = look.base + access.lo;
    look.hi = look.base + access.hi;
    look.access = &access;
    look.box = nullptr;
    look.writer = runtime::writes(access.tag);
    look.reader = reads(access.tag);
    if (box != nullptr) {
      odd |= box->lo != access.lo || box->hi != access.hi;
      if (box->rank != 0) look.box = box;
      look.reader |= box->hull && look.writer;
    }
    look.owner = owner_of(access.buffer);
    look.region = regions.tag_of(look.owner, look.lo, look.hi, look.box);
    regions.prefetch(look.region);
    odd |= access.lo > access.hi || access.hi > access.buffer_bytes ||
           access.buffer_bytes > ~access.buffer.offset ||
           static_cast<std::uint8_t>(access.tag) > static_cast<std::uint8_t>(Tag::no_dep);
    uses |= symbolic;
    reads_late |= overwrites;
    overwrites |= look.writer && !look.reader;
  }
  if (odd || uses) {
    if (auto error = check(spec)) return *std::move(error);
  }

  const std::uint32_t task = slots.take();
  const TaskId id = slots.id(task);
  Slot& slot = slots[task];
  slot.state = TaskState::pending;
  slot.kind = spec.kind;
  slot.flags = 0;
  if (spec.node_only) slot.set(graph::node_only);
  if (spec.priority != 0) slot.set(graph::prioritized);
  slot.ring = graph::Intermediates::arena_of(intermediates.depth());
  slot.pending = spec.events;
  slot.cookie = spec.cookie;
  slot.members = spec.members;
  slot.unplaced = 0;
  slot.uses = none;
  slot.successor_tail = none;
  slot.successor_count = 0;
  SlotInfo& info = slots.info(task);
  info.name = spec.name;
  info.serial = ++serial;
  info.priority = spec.priority;
  info.members = spec.members;
  info.events = spec.events;
  info.bound = spec.executor;
  info.executor = any_executor;
  ++counts.submitted;
  ++counts.live;
  ++window[slot.ring];

  if (uses) {
    slot.set(graph::has_uses);
    for (const Access& access : spec.accesses) use(task, access);
  }
  for (std::size_t i = 0; i < count; ++i) looks[i].cell = regions.guess(looks[i].region);
  if (count > 1) {
    for (std::size_t i = 0; i < count; ++i) regions.prefetch_tasks(looks[i].cell);
  }
  // An overwrite ends the data before it, also for this task: so what it reads comes first.
  for (bool reading = true;; reading = false) {
    for (std::size_t i = 0; i < count; ++i) {
      if (!reads_late || looks[i].reader == reading) depend(id, looks[i]);
    }
    if (!reads_late || !reading) break;
  }
  for (const TaskId producer : spec.after) {
    if (producer.slot < slots.size()) edge(producer, task, false);
  }
  if (slots[task].pending == 0) {
    nothing_pending(task);
    drain_ending();
  } else if (in_order) {
    offer(task);
  }
  return id;
}

// The general form of live_edge(): the list goes on in chunks.
void TaskGraph::State::live_edge_in_chunks(TaskId producer, std::uint32_t task, bool order_only) {
  Slot& p = slots[producer.slot];
  const std::uint32_t word = task | (order_only ? Slot::order_only : 0);
  std::uint32_t* last = nullptr;
  if (p.successor_tail == none) {
    last = &p.successors[p.successor_count - 1];
  } else {
    graph::Chunk& tail = chunks[p.successor_tail];
    last = &tail.narrow[tail.count - 1U];
  }
  if ((*last & ~Slot::order_only) == task) {
    *last &= word;
    return;
  }
  std::uint32_t tail = p.successor_tail;
  if (tail == none || chunks[tail].count == graph::Chunk::narrow_room) {
    const std::uint32_t fresh = chunks.take();
    chunks[fresh].next = tail == none ? fresh : chunks[tail].next;
    if (tail != none) chunks[tail].next = fresh;
    p.successor_tail = tail = fresh;
  }
  graph::Chunk& chunk = chunks[tail];
  chunk.narrow[chunk.count] = word;
  chunk.count = (chunk.count + 1U) & 0xFF;
  count_edge(p, producer.slot, task);
}

// Once per access, from one place: the call would be a tenth of a submit.
[[gnu::always_inline]] inline void TaskGraph::State::depend(TaskId id, const Look& look) {
  if (look.lo == look.hi || !(look.reader || look.writer)) return;
  std::uint32_t at = look.cell;
  if (!regions.is(at, look.owner, look.lo, look.hi, look.box)) {
    at = regions.find_or_create(look.region, look.owner, look.lo, look.hi, look.box, look.base,
                                look.access->buffer_bytes);
  }
  const std::uint32_t task = id.slot;
  Cell& cell = regions[at];
  cell.idle = 0;
  if (look.writer) {
    // Readers come after the writer they read from, so who waits for them waits for it.
    if (look.reader || !cell.reader) edge(cell.writer, task, !look.reader);
    if (cell.reader) {
      regions.any_reader(cell, [&](TaskId reader) {
        edge(reader, task, true);
        return false;
      });
    }
    if (cell.near != none) depend_on_near(task, at, look.reader, true);
    regions.clear_readers(at);
    cell.writer = id;
    cell.written = ++writes;
  } else {
    edge(cell.writer, task, false);
    if (cell.near != none) depend_on_near(task, at, true, false);
    if (cell.writer != id) regions.add_reader(at, id);
  }
}

// The cells that share bytes with the one a task touches.
void TaskGraph::State::depend_on_near(std::uint32_t task, std::uint32_t at, bool reader, bool writer) {
  // What was written before all of these bytes were written again is no one's business any more.
  std::uint64_t shadow = regions[at].written;
  for (std::uint32_t c = regions[at].near; c != none; c = chunks[c].next) {
    for (std::uint32_t i = 0; i < chunks[c].count; ++i) {
      const Near near(chunks[c].wide[i]);
      if ((near.flags & Near::covers_me) == 0 || regions[near.cell].version != near.version) continue;
      shadow = std::max(shadow, regions[near.cell].written);
    }
  }
  std::uint32_t stale = 0, met = 0;
  for (std::uint32_t c = regions[at].near; c != none; c = chunks[c].next) {
    for (std::uint32_t i = 0; i < chunks[c].count; ++i) {
      const Near near(chunks[c].wide[i]);
      Cell& other = regions[near.cell];
      if (other.version != near.version) {
        ++stale;
        continue;
      }
      ++met;
      if (other.writer && other.written >= shadow) edge(other.writer, task, !reader);
      if (writer) {
        regions.any_reader(other, [&](TaskId id) {
          edge(id, task, true);
          return false;
        });
        if ((near.flags & Near::covered) != 0) {
          regions.clear_readers(near.cell);
          other.writer = TaskId{};
          other.written = 0;
        }
      }
      if (!slots.ours_alive(other.writer) && regions.dead(other) && ++other.idle > 3) {
        regions.evict(near.cell);
        ++stale;
      }
    }
  }
  if (stale > 8 && stale > met) regions.compact_near(at);
}

}  // namespace troupe::runtime

#include "graph/intermediates.hpp"

namespace troupe::runtime::graph {

using State = Intermediate::State;

Intermediates::Intermediates(const TaskGraphConfig& config, ChunkPool& chunks) : chunks_(chunks) {
  for (std::size_t a = 0; a < arenas_.size(); ++a) {
    arenas_[a].blocks = BlockArena(config.arena_bytes[a], config.block_alignment);
  }
  open_scope();
}

void Intermediates::clear(const TaskGraphConfig& config) {
  slots_.clear();
  spare_.clear();
  scopes_.clear();
  for (std::size_t a = 0; a < arenas_.size(); ++a) {
    arenas_[a].blocks.reset(config.arena_bytes[a], config.block_alignment);
    arenas_[a].queue.clear();
  }
  stamp_ = 0;
  open_scope();
}

std::uint32_t Intermediates::create(std::uint32_t depth, std::uint64_t bytes, std::string_view name) {
  std::uint32_t slot = none;
  if (spare_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = spare_.back();
    spare_.pop_back();
  }
  Intermediate& i = slots_[slot];
  i.state = State::unasked;
  i.arena = arena_of(depth);
  i.scope_open = true;
  i.handles = 1;
  i.uses = 0;
  i.bytes = bytes;
  i.name = name;
  i.prev = none;
  i.next = scopes_.back();
  if (i.next != none) slots_[i.next].prev = slot;
  scopes_.back() = slot;
  return slot;
}

bool Intermediates::ask(std::uint32_t slot) {
  Intermediate& i = slots_[slot];
  Arena& arena = arenas_[i.arena];
  if (arena.queue.empty()) {
    if (const auto grant = arena.blocks.allocate(i.bytes)) {
      i.grant = *grant;
      i.state = State::placed;
      return true;
    }
  }
  i.state = State::queued;
  arena.queue.push_back(std::uint64_t{i.generation} << 32U | slot);
  return false;
}

void Intermediates::drop(std::uint32_t slot) {
  Intermediate& i = slots_[slot];
  if (i.state == State::placed) arenas_[i.arena].blocks.free(i.grant.handle);
  if (i.scope_open) {
    if (i.prev != none) {
      slots_[i.prev].next = i.next;
    } else {
      // The head of some open scope; scopes are few and dropping early is the innermost one's habit.
      for (std::size_t s = scopes_.size(); s-- > 0;) {
        if (scopes_[s] == slot) {
          scopes_[s] = i.next;
          break;
        }
      }
    }
    if (i.next != none) slots_[i.next].prev = i.prev;
    i.scope_open = false;
  }
  chunks_.clear(i.waiters);
  i.state = State::free;
  i.prev = i.next = none;
  if (++i.generation == 0) i.generation = 1;
  spare_.push_back(slot);
}

void Intermediates::place_queued(std::uint32_t index, std::vector<std::uint64_t>& released) {
  Arena& arena = arenas_[index];
  while (!arena.queue.empty()) {
    const std::uint64_t entry = arena.queue.front();
    Intermediate& i = slots_[static_cast<std::uint32_t>(entry)];
    if (i.state == State::queued && i.generation == static_cast<std::uint32_t>(entry >> 32U)) {
      const auto grant = arena.blocks.allocate(i.bytes);
      if (!grant) return;
      i.grant = *grant;
      i.state = State::placed;
      for (std::uint32_t c = i.waiters; c != none; c = chunks_[c].next) {
        released.insert(released.end(), chunks_[c].wide, chunks_[c].wide + chunks_[c].count);
      }
      chunks_.clear(i.waiters);
    }
    arena.queue.pop_front();
  }
}

std::string Intermediates::map() const {
  std::string text;
  for (std::size_t a = 0; a < arenas_.size(); ++a) {
    if (arenas_[a].blocks.bytes() != 0) text += map(a);
  }
  return text;
}

std::string Intermediates::map(std::size_t index) const {
  static constexpr std::size_t shown = 6;  // per arena: a report is to fit a screen
  const Arena& arena = arenas_[index];
  std::string text = "arena " + std::to_string(index) + ": " + std::to_string(arena.blocks.used()) + " of " +
                     std::to_string(arena.blocks.bytes()) + " bytes used, largest free block " +
                     std::to_string(arena.blocks.largest_free()) + "\n";
  std::size_t lines = 0;
  for (const auto& block : arena.blocks.blocks()) {
    if (++lines > shown) {
      text += "  ...\n";
      break;
    }
    text += "  [" + std::to_string(block.offset) + ", " + std::to_string(block.offset + block.bytes) + ") ";
    const Intermediate* owner = nullptr;
    for (const Intermediate& i : slots_) {
      if (block.used && i.state == State::placed && i.arena == index && i.grant.offset == block.offset)
        owner = &i;
    }
    if (owner == nullptr) {
      text += "free\n";
      continue;
    }
    text += owner->name.empty() ? std::string("an intermediate") : "\"" + std::string(owner->name) + "\"";
    text += ": " + std::to_string(owner->uses) + " uses by live tasks";
    text += owner->nameable() ? ", named by a handle\n" : "\n";
  }
  lines = 0;
  for (const std::uint64_t entry : arena.queue) {
    const Intermediate& i = slots_[static_cast<std::uint32_t>(entry)];
    if (i.state != State::queued || i.generation != static_cast<std::uint32_t>(entry >> 32U)) continue;
    if (++lines > shown) break;
    text += "  waiting: " + std::to_string(i.bytes) + " bytes";
    if (!i.name.empty()) text += " for \"" + std::string(i.name) + "\"";
    text += "\n";
  }
  return text;
}

}  // namespace troupe::runtime::graph

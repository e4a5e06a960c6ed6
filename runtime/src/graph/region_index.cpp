#include "graph/region_index.hpp"

#include <algorithm>
#include <utility>

namespace troupe::runtime::graph {

bool RegionIndex::dead(const Cell& cell) const noexcept {
  if (slots_.alive(cell.writer)) return false;
  if (!failures_.empty() && cell.writer && matters_to_failure(cell)) return false;
  return !any_reader(cell, [this](TaskId reader) { return slots_.alive(reader); });
}

// Its writer failed, or it says that bytes of a failed writer were written again.
bool RegionIndex::matters_to_failure(const Cell& cell) const noexcept {
  if (failures_.contains(pack(cell.writer))) return true;
  for (std::uint32_t c = cell.near; c != none; c = chunks_[c].next) {
    for (std::uint32_t i = 0; i < chunks_[c].count; ++i) {
      const Near near(chunks_[c].wide[i]);
      const Cell& other = cells_[near.cell];
      if (other.version == near.version && other.writer && failures_.contains(pack(other.writer)))
        return true;
    }
  }
  return false;
}

std::uint32_t RegionIndex::create(std::uint32_t tag, Owner owner, std::uint64_t lo, std::uint64_t hi,
                                  const Box* box, std::uint64_t base, std::uint64_t buffer_bytes) {
  if (used_ >= sweep_at_) sweep();
  std::uint32_t cell = none;
  if (spare_cells_.empty()) {
    cell = static_cast<std::uint32_t>(cells_.size());
    grow();
  } else {
    cell = spare_cells_.back();
    spare_cells_.pop_back();
  }
  const std::uint32_t version = cells_[cell].version;
  cells_[cell] = Cell{};
  Cell& c = cells_[cell];
  c.version = version;
  c.lo = lo;
  c.hi = hi;
  c.owner = owner;
  c.rank = box != nullptr ? box->rank : std::uint8_t{0};
  c.used = true;
  CellInfo& info = info_[cell];
  info.near_count = 0;
  info.near_limit = 16;
  info.reader_chunks = 1;
  if (c.rank != 0) info.box = *box;
  ++used_;
  put(tag, cell);
  const Box full = box_of(cell);
  const std::uint32_t space = space_of(owner, std::min(base, lo), std::max(base + buffer_bytes, hi));
  if (spaces_[space].count != 0) connect(space, cell, full);
  join(space, cell);
  return cell;
}

Box RegionIndex::box_of(std::uint32_t cell) const noexcept {
  const Cell& c = cells_[cell];
  Box box;
  if (c.rank != 0) box = info_[cell].box;
  box.lo = c.lo;
  box.hi = c.hi;
  box.rank = c.rank;
  return box;
}

void RegionIndex::put(std::uint32_t tag, std::uint32_t cell) {
  if (8ULL * used_ > 3ULL * table_.size()) {
    rehash();  // finds the new cell, too
    return;
  }
  std::uint64_t i = tag & table_mask_;
  while (table_[i].tag != 0) i = (i + 1) & table_mask_;
  table_[i] = {tag, cell};
}

void RegionIndex::rehash() {
  table_.assign(table_.size() * 2, Entry{});
  table_mask_ = table_.size() - 1;
  for (std::uint32_t cell = 0; cell < cells_.size(); ++cell) {
    if (!cells_[cell].used) continue;
    const Box box = box_of(cell);
    const std::uint32_t tag = tag_of(cells_[cell].owner, box.lo, box.hi, box.rank != 0 ? &box : nullptr);
    std::uint64_t i = tag & table_mask_;
    while (table_[i].tag != 0) i = (i + 1) & table_mask_;
    table_[i] = {tag, cell};
  }
}

void RegionIndex::evict(std::uint32_t cell) {
  const Box box = box_of(cell);
  const std::uint32_t tag = tag_of(cells_[cell].owner, box.lo, box.hi, box.rank != 0 ? &box : nullptr);
  std::uint64_t hole = tag & table_mask_;
  while (table_[hole].cell != cell || table_[hole].tag != tag) hole = (hole + 1) & table_mask_;
  // Linear probing without tombstones: pull back what could not be found across the hole.
  for (std::uint64_t i = (hole + 1) & table_mask_; table_[i].tag != 0; i = (i + 1) & table_mask_) {
    const std::uint64_t home = table_[i].tag & table_mask_;
    if (((i - home) & table_mask_) >= ((i - hole) & table_mask_)) {
      table_[hole] = table_[i];
      hole = i;
    }
  }
  table_[hole] = Entry{};
  leave(cell);
  Cell& c = cells_[cell];
  chunks_.clear(c.readers);
  chunks_.clear(c.near);
  c.used = false;
  c.lo = c.hi = 0;  // is no region
  ++c.version;
  --used_;
  spare_cells_.push_back(cell);
}

void RegionIndex::sweep() {
  for (std::uint32_t cell = 0; cell < cells_.size(); ++cell) {
    if (cells_[cell].used && dead(cells_[cell])) evict(cell);
  }
  sweep_at_ = std::max(first_sweep, 2 * used_);
}

void RegionIndex::forget(Owner owner, std::uint64_t lo, std::uint64_t hi) {
  std::vector<std::uint32_t> doomed;
  extents_.query(owner, lo, hi, [&](std::uint32_t space) {
    for (std::uint32_t c = spaces_[space].first; c != none; c = info_[c].next) doomed.push_back(c);
  });
  for (const std::uint32_t cell : doomed) evict(cell);
}

// The space for a buffer: the one that has it, or a new one, or all that it touches made into one.
std::uint32_t RegionIndex::space_of(Owner owner, std::uint64_t lo, std::uint64_t hi) {
  std::uint32_t found = none;
  std::vector<std::uint32_t> others;
  extents_.query(owner, lo, hi, [&](std::uint32_t space) {
    if (found == none) {
      found = space;
    } else {
      others.push_back(space);
    }
  });
  if (found == none) {
    if (spare_spaces_.empty()) {
      found = static_cast<std::uint32_t>(spaces_.size());
      spaces_.emplace_back();
    } else {
      found = spare_spaces_.back();
      spare_spaces_.pop_back();
    }
    spaces_[found] = Space{};
    spaces_[found].owner = owner;
    spaces_[found].lo = lo;
    spaces_[found].hi = hi;
    extents_.insert(owner, lo, hi, found);
    return found;
  }
  for (std::uint32_t& other : others) {
    if (spaces_[other].count > spaces_[found].count) std::swap(other, found);
  }
  Space& space = spaces_[found];
  if (others.empty() && space.lo <= lo && space.hi >= hi) return found;
  extents_.remove(owner, space.lo, space.hi, found);
  space.lo = std::min(space.lo, lo);
  space.hi = std::max(space.hi, hi);
  for (const std::uint32_t other : others) merge(found, other);
  extents_.insert(owner, spaces_[found].lo, spaces_[found].hi, found);
  return found;
}

void RegionIndex::merge(std::uint32_t into, std::uint32_t from) {
  Space& source = spaces_[from];
  extents_.remove(source.owner, source.lo, source.hi, from);
  spaces_[into].lo = std::min(spaces_[into].lo, source.lo);
  spaces_[into].hi = std::max(spaces_[into].hi, source.hi);
  // The two had no byte in common, so no cell gets a new neighbour.
  for (std::uint32_t c = source.first; c != none;) {
    const std::uint32_t next = info_[c].next;
    join(into, c);
    c = next;
  }
  spaces_[from] = Space{};
  spare_spaces_.push_back(from);
}

void RegionIndex::join(std::uint32_t space, std::uint32_t cell) {
  Space& s = spaces_[space];
  info_[cell].space = space;
  info_[cell].prev = none;
  info_[cell].next = s.first;
  if (s.first != none) info_[s.first].prev = cell;
  s.first = cell;
  ++s.count;
  if (s.grid) s.grid->insert(box_of(cell), cell);
}

void RegionIndex::leave(std::uint32_t cell) {
  const std::uint32_t space = info_[cell].space;
  Space& s = spaces_[space];
  const CellInfo& info = info_[cell];
  if (info.prev != none) {
    info_[info.prev].next = info.next;
  } else {
    s.first = info.next;
  }
  if (info.next != none) info_[info.next].prev = info.prev;
  if (s.grid) s.grid->remove(box_of(cell), cell);
  if (--s.count == 0) {
    extents_.remove(s.owner, s.lo, s.hi, space);
    s = Space{};
    spare_spaces_.push_back(space);
  }
}

// Makes `cell` and the cells of the space that share a byte with it each other's neighbours.
void RegionIndex::connect(std::uint32_t space, std::uint32_t cell, const Box& box) {
  Space& s = spaces_[space];
  // A grid that does not sort what comes is made anew around what comes.
  if (s.count >= grid_from && (s.grid == nullptr || s.work > 64 + 32ULL * s.count)) build_grid(s, box);
  const std::uint32_t stamp = ++stamp_;
  const auto meet = [&](std::uint32_t other) {
    ++s.work;
    if (other == cell || info_[other].stamp == stamp) return;
    info_[other].stamp = stamp;
    const Box theirs = box_of(other);
    if (!overlaps(theirs, box)) return;
    const bool theirs_covers = covers(theirs, box), mine_covers = covers(box, theirs);
    const std::uint32_t mine = (theirs_covers ? Near::covers_me : 0) | (mine_covers ? Near::covered : 0);
    const std::uint32_t back = (mine_covers ? Near::covers_me : 0) | (theirs_covers ? Near::covered : 0);
    add_near(cell, Near::pack(other, mine, cells_[other].version));
    add_near(other, Near::pack(cell, back, cells_[cell].version));
  };
  if (s.grid != nullptr && s.grid->candidates(box, meet)) return;
  for (std::uint32_t other = s.first; other != none; other = info_[other].next) meet(other);
}

void RegionIndex::add_near(std::uint32_t cell, std::uint64_t word) {
  CellInfo& info = info_[cell];
  if (info.near_count >= info.near_limit) compact_near(cell);
  chunks_.push(cells_[cell].near, word);
  ++info.near_count;
}

void RegionIndex::compact_near(std::uint32_t cell) {
  CellInfo& info = info_[cell];
  info.near_count = chunks_.filter(cells_[cell].near, [&](std::uint64_t item) {
    const Near near(item);
    return cells_[near.cell].version == near.version;
  });
  info.near_limit = std::max(16U, 2 * info.near_count);
}

// More readers than the cell has room for. Those that ended are forgotten whenever there are twice as many as
// lived at the last look: data that is read for ever stays small.
void RegionIndex::add_to_many_readers(std::uint32_t cell, TaskId reader) {
  Cell& c = cells_[cell];
  const auto alive = [&](std::uint64_t item) { return slots_.alive(unpack(item)); };
  if (c.readers == none) {
    auto& more = more_[cell].ids;
    const auto* end = std::remove_if(more, more + c.more, [&](TaskId id) { return !slots_.alive(id); });
    c.more = static_cast<std::uint8_t>(end - more);
    if (c.more < MoreReaders::room) {
      more[c.more++] = reader;
      return;
    }
  } else {
    const Chunk& head = chunks_[c.readers];
    if (head.wide[head.count - 1] == pack(reader)) return;
    if (head.count == Chunk::wide_room && head.depth >= info_[cell].reader_chunks) {
      chunks_.filter(c.readers, alive);
      const std::uint32_t depth = c.readers == none ? 0 : chunks_[c.readers].depth;
      info_[cell].reader_chunks = std::max(1U, 2 * depth);
    }
  }
  chunks_.push(c.readers, pack(reader));
}

void RegionIndex::build_grid(Space& space, const Box& reference) {
  // A box of nearly the whole space sorts nothing: take the smallest that is there.
  Box best = reference;
  for (std::uint32_t c = space.first; c != none; c = info_[c].next) {
    if (best.hi - best.lo > (space.hi - space.lo) / 2 && cells_[c].hi - cells_[c].lo < best.hi - best.lo) {
      best = box_of(c);
    }
  }
  space.grid = std::make_unique<Grid>(best);
  space.work = 0;
  for (std::uint32_t c = space.first; c != none; c = info_[c].next) space.grid->insert(box_of(c), c);
}

}  // namespace troupe::runtime::graph

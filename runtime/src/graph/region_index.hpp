#pragma once

#include <bit>
#include <cstddef>
#include <memory>
#include <vector>

#include "graph/chunk_pool.hpp"
#include "graph/extent_index.hpp"
#include "graph/grid.hpp"
#include "graph/slots.hpp"

namespace troupe::runtime::graph {

// One region that tasks named: who wrote it last, who read it since. Hot, one cache line, and a second one
// for what several tasks read; the bytes are absolute (the reference's offset is added), so a region is the
// same through whatever reference of one memory it is named.
struct alignas(64) Cell {
  static constexpr std::uint8_t inline_readers = 8;
  std::uint64_t lo = 0, hi = 0;
  TaskId writer;              // none: nobody
  TaskId reader;              // one of the readers since; then MoreReaders and, when full, `readers`
  std::uint64_t written = 0;  // when `writer` was set, counted in writes
  Owner owner = 0;
  std::uint32_t readers = none;  // chunks of packed task ids
  std::uint32_t near = none;     // chunks of neighbours: cells that share a byte with this one
  std::uint32_t version = 1;     // changes when the cell is dropped: neighbours forget lazily
  std::uint8_t rank = 0;
  std::uint8_t idle = 0;  // how often a neighbour found nothing alive here
  bool used = false;
  std::uint8_t more = 0;  // readers in the cell's MoreReaders
};
static_assert(sizeof(Cell) == 64);

// A second line for what several tasks read. Not part of the cell, so that cells which have
// no use for it lie close together.
struct alignas(64) MoreReaders {
  static constexpr std::uint8_t room = 8;
  TaskId ids[room];
};

// A neighbour, as one word: cell, flags, version.
struct Near {
  static constexpr std::uint32_t covers_me = 0x8000'0000, covered = 0x4000'0000, cell_mask = 0x3FFF'FFFF;
  static constexpr std::uint64_t pack(std::uint32_t cell, std::uint32_t flags,
                                      std::uint32_t version) noexcept {
    return std::uint64_t{version} << 32U | flags | cell;
  }
  explicit Near(std::uint64_t word) noexcept
      : cell(static_cast<std::uint32_t>(word) & cell_mask),
        flags(static_cast<std::uint32_t>(word) & ~cell_mask),
        version(static_cast<std::uint32_t>(word >> 32U)) {}
  std::uint32_t cell, flags, version;
};

// All cells of a graph. Cells of overlapping references live in one space; a cell knows its neighbours, so an
// access costs one hash lookup plus its true overlaps. Cells without live tasks stay, to be found again,
// until there are twice as many as were alive at the last sweep: memory is bounded by what is alive.
class RegionIndex {
 public:
  RegionIndex(const Slots& slots, const Failures& failures, ChunkPool& chunks)
      : slots_(slots), failures_(failures), chunks_(chunks) {
    table_.resize(smallest_table);
    cells_.reserve(few_cells);
    more_.reserve(few_cells);
    info_.reserve(few_cells);
    grow();  // cell 0: what an empty place of the table names, nobody's
  }

  // As new, in the memory that there is.
  void clear() {
    table_.assign(smallest_table, Entry{});
    table_mask_ = smallest_table - 1;
    cells_.clear();
    more_.clear();
    info_.clear();
    spaces_.clear();
    spare_cells_.clear();
    spare_spaces_.clear();
    extents_.clear();
    used_ = stamp_ = 0;
    sweep_at_ = first_sweep;
    grow();
  }
  std::size_t capacity() const noexcept { return cells_.capacity(); }

  // The hash of a region, never 0.
  static std::uint32_t tag_of(Owner owner, std::uint64_t lo, std::uint64_t hi, const Box* box) noexcept {
    __extension__ using Wide = unsigned __int128;
    const Wide product = static_cast<Wide>(lo ^ 0x2D35'8DCC'AA6C'78A5ULL) *
                         (hi ^ 0x8BB8'4B93'962E'ACC9ULL ^ std::rotl(owner, 16));
    std::uint64_t mixed = static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64U);
    if (box != nullptr) {
      for (std::size_t d = 0; d < box->rank; ++d) {
        mixed = (mixed ^ box->strides[d] ^ std::uint64_t{box->extents[d]} << 32U) * 0x9E37'79B9'7F4A'7C15ULL;
        mixed ^= mixed >> 29U;
      }
    }
    const auto tag = static_cast<std::uint32_t>(mixed ^ mixed >> 32U);
    return tag != 0 ? tag : 1;
  }
  // Starts to load what find_or_create() will look at.
  void prefetch(std::uint32_t tag) const noexcept { __builtin_prefetch(&table_[tag & table_mask_]); }
  // A cell that is likely that of the region, and starts to load it. Looks at two places without a branch:
  // which of them it is cannot be predicted.
  std::uint32_t guess(std::uint32_t tag) const noexcept {
    const auto next = static_cast<std::uint32_t>(table_[tag & table_mask_].tag != tag);
    const std::uint32_t cell = table_[(tag + next) & table_mask_].cell;
    __builtin_prefetch(&cells_[cell], 1);
    return cell;
  }
  // Starts to load what an access of the cell will look at.
  void prefetch_tasks(std::uint32_t cell) const noexcept {
    const Cell& c = cells_[cell];
    slots_.prefetch(c.writer.slot);
    if (c.reader) __builtin_prefetch(&more_[cell], 1);
  }
  // Whether a guess was right.
  bool is(std::uint32_t cell, Owner owner, std::uint64_t lo, std::uint64_t hi,
          const Box* box) const noexcept {
    return same(cell, owner, lo, hi, box);
  }
  // The cell of a region of a buffer that reaches from base to base + buffer_bytes; made when new.
  // `box` is null for a plain range; lo and hi (of the box, too) are absolute.
  std::uint32_t find_or_create(std::uint32_t tag, Owner owner, std::uint64_t lo, std::uint64_t hi,
                               const Box* box, std::uint64_t base, std::uint64_t buffer_bytes) {
    for (std::uint64_t i = tag & table_mask_;; i = (i + 1) & table_mask_) {
      const Entry& entry = table_[i];
      if (entry.tag == 0) break;
      if (entry.tag == tag && same(entry.cell, owner, lo, hi, box)) return entry.cell;
    }
    return create(tag, owner, lo, hi, box, base, buffer_bytes);
  }

  Cell& operator[](std::uint32_t cell) noexcept { return cells_[cell]; }
  const Cell& operator[](std::uint32_t cell) const noexcept { return cells_[cell]; }

  // Whether a cell has readers is as good as random: no branch asks. A task that reads twice may be there
  // twice.
  void add_reader(std::uint32_t cell, TaskId reader) {
    Cell& c = cells_[cell];
    if (c.more < MoreReaders::room) {
      const bool first = !c.reader || c.reader == reader;
      TaskId* const place = first ? &c.reader : &more_[cell].ids[c.more];
      *place = reader;
      c.more = static_cast<std::uint8_t>(c.more + (first ? 0U : 1U));
      return;
    }
    add_to_many_readers(cell, reader);
  }
  void clear_readers(std::uint32_t cell) noexcept {
    Cell& c = cells_[cell];
    c.reader = TaskId{};
    c.more = 0;
    chunks_.clear(c.readers);
  }
  // Calls visit(reader) for every reader since the last write, until it says true; says whether it did.
  template <class Visit>
  bool any_reader(const Cell& cell, Visit visit) const {
    if (cell.reader && visit(cell.reader)) return true;
    for (std::uint32_t i = 0; i < cell.more; ++i) {
      if (visit(more_[static_cast<std::size_t>(&cell - cells_.data())].ids[i])) return true;
    }
    for (std::uint32_t c = cell.readers; c != none; c = chunks_[c].next) {
      for (std::uint32_t i = 0; i < chunks_[c].count; ++i) {
        if (visit(unpack(chunks_[c].wide[i]))) return true;
      }
    }
    return false;
  }
  // Takes neighbours out of the list that were dropped since.
  void compact_near(std::uint32_t cell);
  // Whether nothing alive keeps the region from being read or written. Says no, too, where it is new and
  // shares a buffer with others, or has neighbours.
  bool is_free(Owner owner, std::uint64_t lo, std::uint64_t hi, const Box* box, bool writes) const noexcept {
    const std::uint32_t tag = tag_of(owner, lo, hi, box);
    for (std::uint64_t i = tag & table_mask_; table_[i].tag != 0; i = (i + 1) & table_mask_) {
      if (table_[i].tag != tag || !same(table_[i].cell, owner, lo, hi, box)) continue;
      const Cell& cell = cells_[table_[i].cell];
      return cell.near == none && !slots_.alive(cell.writer) &&
             !(writes && any_reader(cell, [this](TaskId reader) { return slots_.alive(reader); }));
    }
    bool is_new = true;
    extents_.query(owner, lo, hi, [&](std::uint32_t) { is_new = false; });
    return is_new;
  }
  // Nothing alive, and no failure to remember.
  bool dead(const Cell& cell) const noexcept;
  void evict(std::uint32_t cell);

  // Forgets a whole buffer (its address is about to mean something else).
  void forget(Owner owner, std::uint64_t lo, std::uint64_t hi);

  // Calls visit(cell, covers) for every cell that shares a byte with the region; makes none.
  template <class Visit>
  void visit_overlaps(Owner owner, const Box& box, Visit visit) const {
    extents_.query(owner, box.lo, box.hi, [&](std::uint32_t space) {
      for (std::uint32_t c = spaces_[space].first; c != none; c = info_[c].next) {
        if (const Box other = box_of(c); overlaps(other, box)) visit(c, covers(other, box));
      }
    });
  }
  template <class Visit>
  void visit_cells(Visit visit) const {
    for (const Cell& cell : cells_) {
      if (cell.used) visit(cell);
    }
  }
  std::uint32_t cells() const noexcept { return used_; }

 private:
  struct Entry {
    std::uint32_t tag = 0, cell = 0;  // tag 0: empty
  };
  struct CellInfo {
    Box box;  // only its dimensions count; set when the cell's rank is not 0
    std::uint32_t space = none, prev = none, next = none;  // its space, and who is beside it there
    std::uint32_t near_count = 0, near_limit = 16;
    std::uint32_t reader_chunks = 1;  // how many there may be before those that ended are forgotten
    std::uint32_t stamp = 0;
  };
  struct Space {
    std::uint64_t lo = 0, hi = 0;
    Owner owner = 0;
    std::uint32_t first = none, count = 0;
    std::uint64_t work = 0;  // comparisons since the grid was made
    std::unique_ptr<Grid> grid;
  };
  static constexpr std::uint32_t grid_from = 16;  // cells

  bool same(std::uint32_t cell, Owner owner, std::uint64_t lo, std::uint64_t hi,
            const Box* box) const noexcept {
    const Cell& c = cells_[cell];
    if (c.lo != lo || c.hi != hi || c.owner != owner) return false;
    if (box == nullptr) return c.rank == 0;
    const Box& own = info_[cell].box;
    return c.rank == box->rank &&
           (c.rank == 0 || (own.strides == box->strides && own.extents == box->extents));
  }

  bool matters_to_failure(const Cell& cell) const noexcept;
  std::uint32_t create(std::uint32_t tag, Owner owner, std::uint64_t lo, std::uint64_t hi, const Box* box,
                       std::uint64_t base, std::uint64_t buffer_bytes);
  Box box_of(std::uint32_t cell) const noexcept;
  void grow() {
    cells_.emplace_back();
    more_.emplace_back();
    info_.emplace_back();
  }
  void add_to_many_readers(std::uint32_t cell, TaskId reader);
  void put(std::uint32_t tag, std::uint32_t cell);
  void rehash();
  void sweep();
  std::uint32_t space_of(Owner owner, std::uint64_t lo, std::uint64_t hi);
  void merge(std::uint32_t into, std::uint32_t from);
  void join(std::uint32_t space, std::uint32_t cell);
  void leave(std::uint32_t cell);
  void connect(std::uint32_t space, std::uint32_t cell, const Box& box);
  void add_near(std::uint32_t cell, std::uint64_t word);
  void build_grid(Space& space, const Box& reference);

  const Slots& slots_;
  const Failures& failures_;
  ChunkPool& chunks_;
  std::vector<Entry> table_;
  static constexpr std::size_t smallest_table = 64;  // most graphs are a run's, and small
  static constexpr std::size_t few_cells = 8;
  std::uint64_t table_mask_ = smallest_table - 1;
  std::vector<Cell> cells_;
  std::vector<MoreReaders> more_;
  std::vector<CellInfo> info_;
  std::vector<Space> spaces_;
  std::vector<std::uint32_t> spare_cells_, spare_spaces_;
  ExtentIndex extents_;
  // With the cell that is nobody's they fit into what a graph keeps for the next run.
  static constexpr std::uint32_t first_sweep = 4095;
  std::uint32_t used_ = 0, sweep_at_ = first_sweep, stamp_ = 0;
};

}  // namespace troupe::runtime::graph

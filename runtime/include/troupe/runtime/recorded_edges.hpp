#pragma once

// Which tasks of a recording have to come after which. One owner at a time; no threads, locks, clocks or I/O,
// and no memory of tensors. Errors: none.

#include <cstdint>
#include <map>
#include <unordered_map>
#include <vector>

#include "troupe/runtime/access.hpp"
#include "troupe/runtime/export.hpp"

namespace troupe::runtime {

/// Which earlier tasks each task of a recording has to come after. A TaskGraph forgets what has ended; what
/// is recorded to be replayed may not. As exact as `overlaps`, without edges that others imply where that is
/// cheap to see.
class TROUPE_API RecordedEdges {
 public:
  /// Memory whose bytes are numbered together.
  struct Memory {
    std::uint64_t kind = 0, number = 0;
    friend bool operator==(const Memory&, const Memory&) = default;
  };
  /// Tells an access of `task`, which comes after all tasks told before; appends who it comes after, in any
  /// order, perhaps repeated.
  void add(std::uint32_t task, const Memory& memory, const Box& box, bool reads, bool writes,
           std::vector<std::uint32_t>& producers);

 private:
  static constexpr std::uint32_t nobody = 0xFFFF'FFFF;
  /// The accesses of one box since it was written last.
  struct Cell {
    Box box;
    std::uint32_t writer = nobody;
    std::vector<std::uint32_t> readers = {};
  };
  struct Cells {
    std::multimap<std::uint64_t, Cell> by_start;
    std::uint64_t longest = 0;  ///< bytes from the first to the end of the last, of any of them
  };
  struct Hash {
    std::size_t operator()(const Memory& memory) const noexcept {
      return static_cast<std::size_t>((memory.number ^ memory.kind << 62U) * 0x9E37'79B9'7F4A'7C15ULL);
    }
  };
  std::unordered_map<Memory, Cells, Hash> memories_;
};

}  // namespace troupe::runtime

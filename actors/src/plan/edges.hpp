#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>
#include <vector>

#include "troupe/runtime/access.hpp"
#include "troupe/runtime/export.hpp"

namespace troupe::actors {

/// Which earlier tasks each task of a recording has to come after. The graph of a run forgets what has ended;
/// a plan may not. As exact as `runtime::overlaps`, without edges that others imply where that is cheap to
/// see.
class TROUPE_API PlanEdges {
 public:
  /// Memory whose bytes are numbered together.
  struct Memory {
    std::uint64_t kind = 0, number = 0;
    friend bool operator==(const Memory&, const Memory&) = default;
  };
  /// Tells an access of `task`, which comes after all tasks told before; appends who it comes after.
  void add(std::uint32_t task, const Memory& memory, const runtime::Box& box, bool reads, bool writes,
           std::vector<std::uint32_t>& producers);

 private:
  static constexpr std::uint32_t nobody = 0xFFFF'FFFF;
  /// The accesses of one box since it was written last.
  struct Cell {
    runtime::Box box;
    std::uint32_t writer = nobody;
    std::vector<std::uint32_t> readers = {};
  };
  struct Hash {
    std::size_t operator()(const Memory& memory) const noexcept {
      return static_cast<std::size_t>((memory.number ^ memory.kind << 62U) * 0x9E37'79B9'7F4A'7C15ULL);
    }
  };
  std::unordered_map<Memory, std::vector<Cell>, Hash> memories_;
};

}  // namespace troupe::actors

#include "troupe/runtime/recorded_edges.hpp"

#include <algorithm>

namespace troupe::runtime {

void RecordedEdges::add(std::uint32_t task, const Memory& memory, const Box& box, bool reads, bool writes,
                        std::vector<std::uint32_t>& producers) {
  if (box.lo == box.hi || !(reads || writes)) return;
  auto& cells = memories_[memory];
  Cell* own = nullptr;
  const auto after = [&](std::uint32_t other) {
    if (other != nobody && other != task) producers.push_back(other);
  };
  // None that begins before that reaches as far as here.
  auto next =
      box.lo < cells.longest ? cells.by_start.begin() : cells.by_start.upper_bound(box.lo - cells.longest);
  for (; next != cells.by_start.end() && next->first < box.hi; ++next) {
    auto& cell = next->second;
    const bool same = cell.box == box;
    if (same) own = &cell;
    if (!same && !overlaps(cell.box, box)) continue;
    if (!writes) {
      after(cell.writer);
      continue;
    }
    // Its readers came after its writer.
    if (cell.readers.empty()) after(cell.writer);
    for (const auto reader : cell.readers) after(reader);
    // Who meets it later meets this one, and comes after it.
    if (same || covers(box, cell.box)) {
      cell.readers.clear();
      cell.writer = nobody;
    }
  }
  if (own == nullptr) {
    own = &cells.by_start.emplace(box.lo, Cell{box})->second;
    cells.longest = std::max(cells.longest, box.hi - box.lo);
  }
  if (writes) {
    own->writer = task;
  } else if (own->writer != task && (own->readers.empty() || own->readers.back() != task)) {
    own->readers.push_back(task);
  }
}

}  // namespace troupe::runtime

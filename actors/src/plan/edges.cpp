#include "plan/edges.hpp"

namespace troupe::actors {

void PlanEdges::add(std::uint32_t task, const Memory& memory, const runtime::Box& box, bool reads,
                    bool writes, std::vector<std::uint32_t>& producers) {
  if (box.lo == box.hi || !(reads || writes)) return;
  auto& cells = memories_[memory];
  Cell* own = nullptr;
  const auto after = [&](std::uint32_t other) {
    if (other != nobody && other != task) producers.push_back(other);
  };
  for (auto& cell : cells) {
    const bool same = cell.box == box;
    if (same) own = &cell;
    if (!same && !runtime::overlaps(cell.box, box)) continue;
    if (!writes) {
      after(cell.writer);
      continue;
    }
    // Its readers came after its writer.
    if (cell.readers.empty()) after(cell.writer);
    for (const auto reader : cell.readers) after(reader);
    // Who meets it later meets this one, and comes after it.
    if (same || runtime::covers(box, cell.box)) {
      cell.readers.clear();
      cell.writer = nobody;
    }
  }
  if (own == nullptr) own = &cells.emplace_back(Cell{box});
  if (writes) {
    own->writer = task;
  } else if (own->writer != task && (own->readers.empty() || own->readers.back() != task)) {
    own->readers.push_back(task);
  }
}

}  // namespace troupe::actors

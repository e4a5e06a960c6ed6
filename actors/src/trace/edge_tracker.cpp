#include "trace/edge_tracker.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "tasks.hpp"

namespace troupe::actors {

/// The memory that holds the tensor's buffer; what it overlaps becomes one with it.
EdgeTracker::Memories::iterator EdgeTracker::memory_of(const runtime::Tensor& tensor) {
  const runtime::BufferRef buffer = tensor.buffer();
  const std::uint32_t arena = buffer.arena, generation = buffer.generation;
  // An intermediate (by its program's name, or by the graph's) has a number there, not an address.
  const std::uint64_t bytes = arena >= program_arena ? 1 : std::max<std::uint64_t>(tensor.buffer_bytes(), 1);
  std::uint64_t begin = buffer.offset;
  std::uint64_t end = bytes > UINT64_MAX - begin ? UINT64_MAX : begin + bytes;
  const auto here = [&](const Memories::iterator& it) {
    return it != memories_.end() && std::get<0>(it->first) == arena && std::get<1>(it->first) == generation;
  };
  auto it = memories_.lower_bound({arena, generation, begin});
  if (here(it) && std::get<2>(it->first) == begin && it->second.end >= end) return it;  // mostly
  if (it != memories_.begin() && here(std::prev(it)) && std::prev(it)->second.end > begin) --it;
  std::vector<std::pair<std::uint64_t, Memory>> parts;
  while (here(it) && std::get<2>(it->first) < end) {
    const std::uint64_t first = std::get<2>(it->first);
    if (first <= begin && it->second.end >= end) return it;
    begin = std::min(begin, first);
    end = std::max(end, it->second.end);
    parts.emplace_back(first, std::move(it->second));
    it = memories_.erase(it);
  }
  const auto joined = memories_.emplace(Place{arena, generation, begin}, Memory{end, {}}).first;
  auto& past = joined->second.past;
  for (auto& [first, part] : parts) {
    for (Access& access : part.past) {
      access.box.lo += first - begin;
      access.box.hi += first - begin;
      past.push_back(access);
    }
  }
  std::ranges::stable_sort(past, {}, &Access::task);  // as they were told
  if (past.size() > remembered) past.erase(past.begin(), past.end() - remembered);
  return joined;
}

void EdgeTracker::submit(TaskId task, std::span<const Operand> tensors, std::vector<TraceEdge>& edges) {
  using runtime::Tag;
  for (const auto& operand : tensors) {
    const auto& tensor = operand.tensor;
    const auto tag = operand.tag;
    if (tag == Tag::no_dep || tensor.empty()) continue;
    const auto memory = memory_of(tensor);
    Access now{task, runtime::make_box(tensor), tag == Tag::in || tag == Tag::inout, tag != Tag::in};
    const std::uint64_t shift = tensor.buffer().offset - std::get<2>(memory->first);
    now.box.lo += shift;
    now.box.hi += shift;
    auto& past = memory->second.past;
    for (const Access& earlier : past) {
      if (earlier.task == task || !(earlier.writes || now.writes) || !overlaps(earlier.box, now.box))
        continue;
      const EdgeKind kind = !earlier.writes ? EdgeKind::war : now.reads ? EdgeKind::raw : EdgeKind::waw;
      edges.push_back({earlier.task, task, kind});
    }
    if (now.writes) {
      // Whoever comes later depends on this task; what it wrote over is ordered through it.
      std::erase_if(
          past, [&](const Access& earlier) { return earlier.task != task && covers(now.box, earlier.box); });
    }
    if (past.size() == remembered) past.erase(past.begin());
    past.push_back(now);
  }
}

}  // namespace troupe::actors

#include "edge_tracker.hpp"

#include <algorithm>

namespace troupe::actors {

void EdgeTracker::submit(TaskId task, std::span<const runtime::TensorArg> tensors,
                         std::vector<TraceEdge>& edges) {
  using runtime::Tag;
  for (const auto& [tensor, tag] : tensors) {
    if (tag == Tag::no_dep || tensor.empty()) continue;
    const Access now{task, runtime::make_box(tensor), tag == Tag::in || tag == Tag::inout, tag != Tag::in};
    const auto& buffer = tensor.buffer();
    auto& past = buffers_[{buffer.arena, buffer.generation, buffer.offset}];
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

#include "graphs/graph_replays.hpp"

#include <algorithm>

namespace troupe::platform::sim {

namespace {
constexpr std::uint32_t line_of_views = 64 / sizeof(ChipGraph::View);
}  // namespace

GraphReplay& GraphReplays::take() {
  GraphReplay* replay = nullptr;
  if (idle_.empty()) {
    idle_.reserve(all_.size() + 1);  // giving back never allocates
    replay = &all_.emplace_back();
  } else {
    replay = idle_.back();
    idle_.pop_back();
  }
  replay->number = ++numbers_;
  return *replay;
}

void GraphReplays::give_back(GraphReplay& replay) noexcept {
  replay.graph.reset();
  replay.kernels.clear();
  replay.slots.clear();
  replay.workspace = {};
  replay.whole = nullptr;
  replay.begun = false;
  idle_.push_back(&replay);
}

void GraphReplays::begin(GraphReplay& replay) {
  const auto& graph = *replay.graph;
  replay.waiting.assign(graph.producers.begin(), graph.producers.end());
  replay.ended = replay.running = 0;
  replay.begun = true;
  for (const std::uint32_t step : graph.first) make_ready(replay, step);
}

Kind GraphReplays::kind_of(const GraphReplay& replay, std::uint32_t step) const noexcept {
  const auto& it = replay.graph->steps[step];
  const auto& lanes = replay.graph->codes[it.code].lanes;
  std::uint32_t count = 0, first = 0;
  for (std::uint32_t lane = 3; lane-- > 0;) {
    if (lanes[lane] == 0) continue;
    ++count;
    first = lanes[lane];
  }
  const bool is_store = (it.flags & ChipGraph::is_store) != 0;
  if (count == 0 && !is_store) return kinds::node;
  return pace_.kind_of(is_store ? *replay.store : *replay.kernels[first - 1], std::max(count, 1u) * it.blocks,
                       lanes[TROUPE_CHIP_AIC] != 0, is_store);
}

void GraphReplays::make_ready(GraphReplay& replay, std::uint32_t step) {
  empty_.push_back(step);
  while (!empty_.empty()) {
    const std::uint32_t next = empty_.back();
    empty_.pop_back();
    const Kind kind = kind_of(replay, next);
    if (kind == kinds::node) {
      ++replay.ended;
      release(replay, next);
    } else {
      ready_[kind].push({&replay, next});
    }
  }
}

/// Those that waited for it alone come into `empty_`, to be made ready.
void GraphReplays::release(GraphReplay& replay, std::uint32_t ended) {
  for (const std::uint32_t next : replay.graph->successors_of(ended)) {
    if (--replay.waiting[next] == 0) empty_.push_back(next);
  }
}

TaskRecord* GraphReplays::take_next(std::uint8_t kind) {
  const auto [replay, number] = ready_[kind].pop();
  return make_task(*replay, number, kind);
}

TaskRecord* GraphReplays::follow(TaskRecord& task) {
  GraphReplay& replay = *task.replay;
  for (const std::uint32_t next : replay.graph->successors_of(task.step)) {
    if (replay.graph->producers[next] != 1 || kind_of(replay, next) != task.kind) continue;
    TaskRecord* follower = make_task(replay, next, task.kind);
    follower->is_follower = true;
    task.follower = next;
    return follower;
  }
  return nullptr;
}

TaskRecord* GraphReplays::make_task(GraphReplay& of, std::uint32_t number, std::uint8_t kind) {
  GraphReplay* replay = &of;
  const auto& graph = *replay->graph;
  const auto& step = graph.steps[number];
  const std::uint32_t views = graph.steps[number + 1].views - step.views;
  // Steps are ready in any order: what this one is made of has to come from far, and is not needed yet.
  const auto* first = graph.views.data() + step.views;
  __builtin_prefetch(first);
  if (views > line_of_views) __builtin_prefetch(first + line_of_views);
  __builtin_prefetch(graph.successors.data() + step.successors);
  TaskRecord* task = records_.take_again(views);
  task->replay = replay;
  task->step = number;
  task->id = {number, ~0U};  // none of the graph's, and unlike the others
  task->kind = kind;
  task->sync_start = (step.flags & ChipGraph::sync_start) != 0;
  task->is_store = (step.flags & ChipGraph::is_store) != 0;
  task->is_symbolic = task->skipped = task->is_listed = task->is_unordered = false;
  task->has_fills = task->has_predicate = false;
  task->is_follower = false;
  task->follower = number;
  task->timing_slot = -1;
  task->blocks = step.blocks;
  task->next_block = 0;
  task->allocated = 0;
  task->dumped = ~std::uint64_t{0};
  task->dumps_scalars = false;
  task->entry = replay->store;
  std::uint32_t count = 0;
  for (std::uint32_t lane = 3; lane-- > 0;) {
    const auto kernel = graph.codes[step.code].lanes[lane];
    task->lanes[lane] = kernel != 0 ? replay->kernels[kernel - 1U] : nullptr;
    if (kernel == 0) continue;
    ++count;
    task->entry = task->lanes[lane];
  }
  task->lane_count = std::max(count, 1U);
  task->pieces_left = task->blocks * task->lane_count;
  ++replay->running;
  return task;
}

bool GraphReplays::complete(const TaskRecord& task) {
  GraphReplay& replay = *task.replay;
  --replay.running;
  ++replay.ended;
  for (const std::uint32_t next : replay.graph->successors_of(task.step)) {
    if (--replay.waiting[next] == 0 && next != task.follower) make_ready(replay, next);
  }
  return replay.is_over();
}

void GraphReplays::requeue(const TaskRecord& task) {
  --task.replay->running;
  ready_[task.kind].push({task.replay, task.step});
}

void GraphReplays::forget_all() noexcept {
  drop_ready();
  idle_.clear();
  for (auto& replay : all_) give_back(replay);
}

void GraphReplays::drop_ready() noexcept {
  for (auto& queue : ready_) queue.clear();
}

}  // namespace troupe::platform::sim

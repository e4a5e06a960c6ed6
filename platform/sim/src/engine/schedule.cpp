// What may run, and what its end brings about. Everything here holds the baton.

#include "engine/schedule.hpp"

#include <string>
#include <utility>

#include "memory/memory.hpp"
#include "troupe/runtime/dtype.hpp"

namespace troupe::platform::sim {

namespace {

TaskRecord* record_of(std::uint64_t cookie) noexcept { return pointer<TaskRecord>(cookie); }

bool uses_clusters(const TaskRecord& task) noexcept { return task.lane_count > 1; }

/// Whether a task that has not ended touches these bytes in a way that has to come first.
bool touches(const TaskRecord& task, const runtime::Access& wanted) noexcept {
  const bool symbolic = wanted.buffer.arena != 0;
  const std::uint64_t base = symbolic ? 0 : wanted.buffer.offset;
  for (std::uint32_t i = 0; i < task.tensor_count + task.extra_tensors; ++i) {
    const runtime::Tag tag = task.tags[i];
    if (tag == runtime::Tag::no_dep || !(runtime::writes(tag) || runtime::writes(wanted.tag))) continue;
    const auto& buffer = task.buffers[i];
    if (symbolic ? buffer != wanted.buffer : buffer.arena != 0) continue;
    const auto& tensor = task.tensors[i];
    const std::uint64_t size = size_of_element(tensor.dtype);
    const std::uint64_t lo = (symbolic ? 0 : buffer.offset) + tensor.start_offset * size;
    if (lo < base + wanted.hi && base + wanted.lo < lo + tensor.extent * size) return true;
  }
  return false;
}

constexpr std::uint32_t batch_microseconds = 4;
constexpr std::uint32_t tray_microseconds = 12;
// Ready short tasks that keep the helpers busy until the program looks again.
constexpr std::uint32_t short_backlog = 16;
constexpr std::uint32_t live_backlog = 512;

}  // namespace

void Schedule::begin(const runtime::TaskGraphConfig& config, std::uint32_t clusters, FlagWaits& flags) {
  if (!graph_) {
    graph_.emplace(config);
  } else if (config != graph_config_) {
    graph_->restart(config);
  }
  graph_config_ = config;
  cores_.reset(clusters);
  flags_ = &flags;
  failure_.reset();
  kernels_run_ = 0;
  live_ = nullptr;
  others_end_ = false;
  active_ = true;
}

void Schedule::end_run() {
  active_ = false;
  // Records of a cycle were never given back.
  if (graph_->status().live != 0) {
    parts_.replays.forget_all();
    parts_.records = TaskRecords();
  }
  // Most runs are small, and like the one before: what its graph took is enough for the next.
  graph_->restart(graph_config_);
}

void Schedule::fail(const Error& error) {
  if (!failure_.set(error)) return;
  others_end_ = true;
  graph_->cancel_all(error);
  flags_->end_deferred();
  parts_.replays.drop_ready();
  while (!sets_.empty()) {
    TaskRecord* task = sets_.front();
    sets_.pop_front();
    drop_set(*task);
  }
  parts_.replays.for_each_begun([this](GraphReplay& replay) {
    if (replay.running == 0) end_replay(replay);
  });
  held_.clear();
  drain_ended();
  parts_.bell.ring();
}

void Schedule::abort() {
  if (parts_.threads.alone) {
    failure_.announce_abort();
  } else {
    fail(aborted("the run was aborted"));
  }
}

void Schedule::hold(TaskRecord& task) {
  held_.push_back(task.id);
  list(task);
}

void Schedule::release_held() {
  for (const runtime::TaskId task : held_) graph_->signal(task);
  held_.clear();
}

Result<bool> Schedule::is_settled(const runtime::Access& access, bool edges_by_hand) const {
  if (!edges_by_hand) return graph_->settled(access);
  for (const TaskRecord* task = live_; task != nullptr; task = task->older) {
    if (touches(*task, access)) return false;
  }
  return true;
}

void Schedule::place(TaskRecord& task) {
  if (!task.is_symbolic) return;
  for (std::uint32_t i = 0; i < task.tensor_count + task.extra_tensors; ++i) {
    if (task.buffers[i].arena == 0) continue;
    std::optional<Error> refusal;
    task.tensors[i].address = parts_.intermediates.place(task.buffers[i], refusal);
    if (refusal) fail(*refusal);
    task.skipped = task.skipped || task.tensors[i].address == 0;  // the run has failed for want of memory
  }
}

// Several short tasks at once spare the baton; long ones go one by one, so that they spread.
std::uint32_t Schedule::batch_limit(const TaskRecord& task, std::uint32_t ready) const noexcept {
  if (parts_.checks.enabled())
    return 1;  // what is found at the end of a kernel is its doing, not that of the next
  if (task.kind <= kinds::quick_aiv) return Batch::most;
  if (task.kind >= kinds::lone_aic) return 1;
  const std::uint32_t usual = task.entry->usual_ticks.load(std::memory_order_relaxed);
  if (usual == 0) return 1;
  const auto for_time = [usual](std::uint32_t microseconds) {
    return microseconds * ticks_per_microsecond() / usual;
  };
  const std::uint32_t some = std::min(for_time(batch_microseconds), ready / workers_);
  // With plenty for all threads none waits for the end of a longer row.
  const std::uint32_t many = std::min(for_time(4 * batch_microseconds), ready / (4 * workers_));
  return std::clamp(std::max(some, many), 1u, Batch::most);
}

// What was submitted goes first: a replay is there as a whole, and does not fall behind.
TaskRecord* Schedule::pop(std::uint8_t kind) {
  const auto work = graph_->pop_ready(kind);
  return work ? record_of(work.cookie) : parts_.replays.pop(kind);
}

void Schedule::refill(Batch& batch, TaskRecord* next) {
  batch.count.store(0, std::memory_order_relaxed);
  if (next == nullptr) return;
  next->prefetch();
  batch.kind = next->kind;
  batch.ended = 0;
  batch.at.store(0, std::memory_order_relaxed);
  const std::uint32_t limit = batch_limit(*next, ready_count(batch.kind));
  const std::uint32_t usual = std::max(next->entry->usual_ticks.load(std::memory_order_relaxed), 1u);
  batch.enough = 2 + tray_microseconds * ticks_per_microsecond() / usual;
  std::uint32_t count = 0;
  while (next != nullptr) {
    prepare(*next);
    batch.tasks[count++] = next;
    next = count < limit ? pop(batch.kind) : nullptr;
    if (next != nullptr) next->prefetch();
  }
  batch.count.store(count, std::memory_order_release);
  look_ahead(*batch.tasks[count - 1]);
  if (count < limit && batch.kind <= kinds::quick_aiv && !parts_.checks.enabled()) add_followers(batch);
}

// What waits for the last of a short row is the next of it in a chain: it is on its way while that runs.
void Schedule::look_ahead(const TaskRecord& last) const noexcept {
  if (last.replay != nullptr) return;
  if (const std::uint64_t next = graph_->look_ahead(last.id); next != 0) record_of(next)->prefetch();
}

void Schedule::tend(const Batch* own) {
  bool ended = false;
  for (Batch* tray : trays_) {
    if (tray == own || !tray->works || !tray->is_tray) continue;
    const std::uint32_t done = tray->at.load(std::memory_order_acquire);
    if (done == tray->ended) continue;
    end_done(*tray, done);
    ended = true;
  }
  if (ended) drain_ended();
  for (Batch* tray : trays_) {
    if (tray != own && tray->works && tray->is_tray) lay_on(*tray);
  }
}

void Schedule::end_done(Batch& batch, std::uint32_t done) {
  kernels_run_ += done - batch.ended;
  while (batch.ended != done) end(batch.task(batch.ended++));
}

void Schedule::lay_on(Batch& tray) {
  std::uint32_t ready = ready_count(tray.kind);
  if (ready == 0 || (!sets_.empty() && sets_.front()->sync_start)) return;
  std::uint32_t count = tray.count.load(std::memory_order_relaxed);
  const std::uint32_t at = tray.at.load(std::memory_order_relaxed);
  const std::uint32_t share = std::max((ready + count - at) / workers_, 1u);
  const std::uint32_t end = std::min(at + std::min(share, tray.enough), tray.ended + Batch::most);
  while (count < end) {
    TaskRecord* next = pop(tray.kind);
    if (next == nullptr) return;
    prepare(*next);
    tray.task(count) = next;
    tray.count.store(++count, std::memory_order_release);
  }
}

/// What waits for the last task of a short row alone may as well come directly behind it.
void Schedule::add_followers(Batch& batch) {
  std::uint32_t count = batch.count.load(std::memory_order_relaxed);
  while (count < Batch::most) {
    TaskRecord& last = *batch.tasks[count - 1];
    TaskRecord* next = last.replay != nullptr ? parts_.replays.follow(last) : nullptr;
    if (next == nullptr) break;
    prepare(*next);
    batch.tasks[count++] = next;
  }
  batch.count.store(count, std::memory_order_release);
}

/// It was popped, and is about to run.
void Schedule::prepare(TaskRecord& task) {
  const bool traced = parts_.traces.traces();
  if (traced) task.dispatched_ns = parts_.traces.now();
  if (task.replay == nullptr) {
    place(task);
  } else if (traced) {
    task.number = task.replay->first_number + task.replay->graph->number_of(task.step);
    task.submitted_ns = task.replay->submitted_ns;
    task.depth = task.replay->whole->depth;
  }
  if (!parts_.checks.enabled()) return;
  if (task.replay != nullptr) task.replay->expand(task);
  parts_.checks.begin(task);
}

bool Schedule::take_kind(Batch& batch, Kind kind) {
  if (ready_count(kind) == 0) return false;
  const bool on_aic = kind % 2 == 0;
  const std::uint32_t core = on_aic ? cores_.take_aic() : cores_.take_aiv();
  if (core == CorePool::none) return false;
  batch.cluster = core / 4;
  batch.lane = core % 4;
  refill(batch, pop(kind));
  if (batch.is_empty()) cores_.give_back(batch.cluster, batch.lane);
  return !batch.is_empty();
}

bool Schedule::take(Batch& batch, Appetite appetite, bool may_quick) {
  if (!active_) return false;
  if (may_quick && (take_kind(batch, kinds::quick_aiv) || take_kind(batch, kinds::quick_aic))) return true;
  if (appetite == Appetite::quick) return false;
  // A set that has to start together is not starved: nothing else starts before it.
  if (!sets_.empty() && sets_.front()->sync_start) return false;
  if (appetite == Appetite::all && (take_kind(batch, kinds::lone_aic) || take_kind(batch, kinds::lone_aiv)))
    return true;
  if (take_kind(batch, kinds::short_aic) || take_kind(batch, kinds::short_aiv)) return true;
  return appetite == Appetite::all && (take_kind(batch, kinds::aic) || take_kind(batch, kinds::aiv));
}

bool Schedule::can_start(const TaskRecord& task) const noexcept {
  const std::uint32_t wanted = task.sync_start ? task.blocks : 1;
  if (uses_clusters(task)) return cores_.idle_clusters() >= wanted;
  return (task.lanes[TROUPE_CHIP_AIC] != nullptr ? cores_.free_aics() : cores_.free_aivs()) >= wanted;
}

TaskRecord* Schedule::next_set() {
  if (!active_) return nullptr;
  if (sets_.empty()) {
    TaskRecord* next = pop(kinds::set);
    if (next == nullptr) return nullptr;
    prepare(*next);
    // Several threads will look at it.
    if (next->replay != nullptr && !parts_.checks.enabled()) next->replay->expand(*next);
    sets_.push_back(next);
  }
  TaskRecord& task = *sets_.front();
  return can_start(task) ? &task : nullptr;
}

void Schedule::start_blocks(TaskRecord& task, std::vector<Piece>& pieces) {
  const std::uint32_t blocks = task.sync_start ? task.blocks : 1;
  for (std::uint32_t i = 0; i < blocks; ++i) {
    const std::uint32_t block = task.next_block++;
    const std::uint32_t cluster = uses_clusters(task) ? cores_.idle_cluster() : 0;
    for (std::uint32_t lane = 0; lane < 3; ++lane) {
      if (task.lanes[lane] == nullptr) continue;
      Piece& piece =
          pieces.emplace_back(Piece{.task = &task, .block = block, .lane = lane, .cluster = cluster});
      if (uses_clusters(task)) {
        cores_.take_lane(cluster, lane);
      } else {
        const std::uint32_t core = lane == TROUPE_CHIP_AIC ? cores_.take_aic() : cores_.take_aiv();
        piece.cluster = core / 4;
        piece.lane = core % 4;
      }
    }
  }
  if (task.next_block == task.blocks) sets_.pop_front();
}

void Schedule::end(TaskRecord* task) {
  if (task->deferred != nullptr && task->failure == nullptr && parts_.deferrals.start(*task)) return;
  if (parts_.checks.enabled()) parts_.checks.end(*task);
  if (task->replay != nullptr) {
    end_step(*task);
  } else if (task->failure != nullptr) [[unlikely]] {
    const Error error = *task->failure;
    graph_->fail(task->id, error);
    fail(error);
  } else {
    graph_->complete(task->id);
  }
  retire(task);
}

void Schedule::end_step(const TaskRecord& task) {
  GraphReplay& replay = *task.replay;
  if (task.failure != nullptr) [[unlikely]]
    fail(replay.failure_of(task.step, *task.failure));
  const bool last = failure_code() == 0 ? parts_.replays.complete(task) : GraphReplays::end(task);
  if (last) end_replay(replay);
}

/// All of its steps have ended, or those that will not are not going to begin.
void Schedule::end_replay(GraphReplay& replay) {
  TaskRecord* whole = replay.whole;
  if (failure_code() == 0) {
    graph_->complete(whole->id);
  } else {
    graph_->fail(whole->id, *failure_.error());
  }
  retire(whole);
}

void Schedule::begin_replays() {
  while (graph_->ready_count(kinds::graph) != 0) {
    const auto work = graph_->pop_ready(kinds::graph);
    if (!work) return;
    begin_replay(*record_of(work.cookie));
  }
}

/// Its memory is there, and nothing that has to come before it is unfinished.
void Schedule::begin_replay(TaskRecord& whole) {
  GraphReplay& replay = *whole.replay;
  std::optional<Error> refusal;
  replay.bases.clear();
  for (const auto& [tensor, tag] : replay.slots) {
    const auto& buffer = tensor.buffer();
    const std::uint64_t start =
        buffer.arena == 0 ? buffer.offset : parts_.intermediates.place(buffer, refusal);
    replay.bases.push_back(start + tensor.byte_offset());
  }
  const bool works = replay.workspace.allocated();
  replay.bases.push_back(works ? parts_.intermediates.place(replay.workspace, refusal) : 0);
  replay.keeps_all = parts_.checks.enabled();
  if (parts_.traces.traces()) number_steps(replay);
  parts_.replays.begin(replay);
  if (refusal) fail(*refusal);  // ends this replay, too
  if (!refusal && replay.is_over()) end_replay(replay);
}

void Schedule::number_steps(GraphReplay& replay) {
  const auto& graph = *replay.graph;
  replay.first_number = parts_.traces.numbers(graph.size());
  replay.submitted_ns = parts_.traces.now();
  for (std::uint32_t step = 0; step < graph.size(); ++step) {
    for (const std::uint32_t next : graph.successors_of(step))
      parts_.traces.follows(replay.first_number + graph.number_of(next),
                            replay.first_number + graph.number_of(step));
  }
}

void Schedule::list(TaskRecord& task) noexcept {
  if (task.is_listed) return;
  task.is_listed = true;
  task.newer = nullptr;
  task.older = live_;
  if (live_ != nullptr) live_->newer = &task;
  live_ = &task;
}

void Schedule::retire(TaskRecord* task) noexcept {
  if (task->is_listed) {
    (task->newer != nullptr ? task->newer->older : live_) = task->older;
    if (task->older != nullptr) task->older->newer = task->newer;
  }
  if (task->kind == kinds::graph) parts_.replays.give_back(*task->replay);
  parts_.records.give_back(task);
}

// The kernel that a batch is at goes to sleep. What came before it has ended, and may be what it waits for;
// what comes behind it goes back, for others to take.
void Schedule::split(Batch& batch) {
  if (batch.of_main) parts_.threads.main_busy = true;
  if (std::exchange(batch.works, false)) --parts_.threads.working;
  const std::uint32_t at = batch.at.load(std::memory_order_relaxed);
  const std::uint32_t count = batch.count.load(std::memory_order_relaxed);
  end_done(batch, at);
  batch.task(at)->follower = batch.task(at)->step;
  for (std::uint32_t i = at + 1; i < count; ++i) put_back(batch.task(i));
  batch.count.store(at + 1, std::memory_order_relaxed);
  drain_ended();
}

void Schedule::put_back(TaskRecord* task) {
  if (task->replay == nullptr) {
    graph_->requeue(task->id);
    return;
  }
  const bool fails = failure_code() != 0;
  if (!fails && !task->is_follower) {
    parts_.replays.requeue(*task);
  } else if (GraphReplays::end(*task) && fails) {  // a follower waits for its producer, as others do
    end_replay(*task->replay);
  }
  retire(task);
}

void Schedule::end_batch(Batch& batch, bool go_on) {
  const std::uint32_t count = batch.count.load(std::memory_order_relaxed);
  if (batch.ended == count) {  // by others
    refill(batch, go_on ? pop(batch.kind) : nullptr);
    return;
  }
  end_done(batch, count - 1);
  ++kernels_run_;
  TaskRecord* last = batch.task(count - 1);
  const bool deferred = last->deferred != nullptr;
  if (parts_.checks.enabled() && !deferred) parts_.checks.end(*last);
  if (!go_on || deferred || last->failure != nullptr) [[unlikely]] {
    end(last);
    batch.count.store(0, std::memory_order_relaxed);
  } else if (last->replay != nullptr) {
    end_step(*last);
    retire(last);
    refill(batch, parts_.replays.pop(batch.kind));
  } else {
    const auto next = graph_->complete_and_pop(last->id);
    retire(last);
    refill(batch, next ? record_of(next.cookie) : nullptr);
  }
  drain_ended();
}

void Schedule::end_piece(const Piece& piece) {
  TaskRecord* task = piece.task;
  cores_.give_back(piece.cluster, piece.lane);
  ++kernels_run_;
  if (--task->pieces_left == 0) end(task);
  drain_ended();
  parts_.bell.ring();
}

// A set of which some blocks will never start.
void Schedule::drop_set(TaskRecord& task) {
  task.pieces_left -= (task.blocks - task.next_block) * task.lane_count;
  task.next_block = task.blocks;
  if (task.pieces_left != 0) return;
  if (task.replay == nullptr) {
    graph_->fail(task.id, *failure_.error());
  } else if (GraphReplays::end(task)) {
    end_replay(*task.replay);
  }
  retire(&task);
}

void Schedule::drain_ended() {
  begin_replays();
  if (!others_end_) return;
  while (auto ended = graph_->pop_ended()) {
    if (ended->cookie != 0) retire(record_of(ended->cookie));
  }
}

bool Schedule::can_take(bool quick) const noexcept {
  if (!active_) return false;
  const auto waits = [this](std::uint8_t on_aic) {
    return (ready_count(on_aic) != 0 && cores_.has_aic()) ||
           (ready_count(on_aic + 1) != 0 && cores_.has_aiv());
  };
  if (quick && waits(kinds::quick_aic)) return true;
  if (sets_.empty()) {
    if (ready_count(kinds::set) != 0) return true;
  } else {
    if (can_start(*sets_.front())) return true;
    if (sets_.front()->sync_start) return false;
  }
  return waits(kinds::short_aic) || waits(kinds::aic) || waits(kinds::lone_aic);
}

bool Schedule::has_backlog() const noexcept {
  return ready_count(kinds::short_aic) + ready_count(kinds::short_aiv) >= short_backlog;
}

bool Schedule::falls_behind() const noexcept {
  const std::uint32_t ready = ready_count(kinds::short_aic) + ready_count(kinds::short_aiv);
  return ready > short_backlog || (ready >= workers_ && graph_->live() > live_backlog);
}

}  // namespace troupe::platform::sim

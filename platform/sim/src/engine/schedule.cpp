// What may run, and what its end brings about. Everything here holds the baton.

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "memory/memory.hpp"
#include "engine/engine.hpp"
#include "engine/engine_jobs.hpp"
#include "troupe/comm/threads_hint.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

namespace {

TaskRecord* record_of(std::uint64_t cookie) noexcept { return pointer<TaskRecord>(cookie); }

bool uses_clusters(const TaskRecord& task) noexcept { return task.lane_count > 1; }

constexpr std::uint32_t batch_microseconds = 4;

}  // namespace

std::uint64_t ChipEngine::arena(std::uint32_t number) {
  std::uint64_t& base = arenas_[number];
  if (base == 0) {
    auto memory = parts_.memory.allocate_internal(limits_.arena_bytes, "intermediates",
                                                  {.shift = 0, .room = checked_ ? limits_.arena_bytes : 0});
    if (!memory) {
      latch(memory.error());
      return 0;
    }
    base = *memory;
  }
  return base;
}

void ChipEngine::place(TaskRecord& task) {
  if (!task.is_symbolic) return;
  for (std::uint32_t i = 0; i < task.tensor_count + task.extra_tensors; ++i) {
    if (task.buffers[i].arena == 0) continue;
    const auto placed = graph_->placement(task.buffers[i]);
    task.tensors[i].address = placed ? address_in_arena(*placed) : 0;
    task.skipped = task.skipped || task.tensors[i].address == 0;  // the run has failed for want of memory
    Made* made = checked_ && !task.skipped ? &made_[task.buffers[i].offset] : nullptr;
    if (made != nullptr && std::exchange(made->fresh, false)) {
      guard(task.tensors[i].address, made->bytes, *placed);
    }
  }
}

// Several short tasks at once spare the baton; long ones go one by one, so that they spread.
std::uint32_t ChipEngine::batch_limit(const TaskRecord& task, std::uint32_t ready) const noexcept {
  if (checked_) return 1;  // what is found at the end of a kernel is its doing, not that of the next
  if (task.kind <= quick_aiv) return Batch::most;
  if (task.kind >= lone_aic) return 1;
  const std::uint32_t usual = task.entry->usual_ticks.load(std::memory_order_relaxed);
  if (usual == 0) return 1;
  const auto for_time = [usual](std::uint32_t microseconds) {
    return microseconds * ticks_per_microsecond() / usual;
  };
  const std::uint32_t some = std::min(for_time(batch_microseconds), ready / workers_);
  // With plenty for everybody nobody waits for the end of a longer row.
  const std::uint32_t many = std::min(for_time(4 * batch_microseconds), ready / (4 * workers_));
  return std::clamp(std::max(some, many), 1u, Batch::most);
}

void ChipEngine::refill(Batch& batch, runtime::Work next) {
  batch.count = 0;
  if (!next) return;
  record_of(next.cookie)->prefetch();
  const auto kind = record_of(next.cookie)->kind;
  const std::uint32_t limit = batch_limit(*record_of(next.cookie), graph_->ready_count(kind));
  while (next) {
    TaskRecord* task = record_of(next.cookie);
    if (profile_) task->dispatched_ns = parts_.host.now();
    place(*task);
    if (checked_) begin_check(*task);
    batch.tasks[batch.count++] = task;
    if (batch.count >= limit) return;
    next = graph_->pop_ready(kind);
    if (next) record_of(next.cookie)->prefetch();
  }
}

bool ChipEngine::take_kind(Batch& batch, Kind kind) {
  if (graph_->ready_count(kind) == 0) return false;
  const bool on_aic = kind % 2 == 0;
  const std::uint32_t core = on_aic ? cores_.take_aic() : cores_.take_aiv();
  if (core == CorePool::none) return false;
  batch.cluster = core / 4;
  batch.lane = core % 4;
  refill(batch, graph_->pop_ready(kind));
  if (batch.count == 0) cores_.give_back(batch.cluster, batch.lane);
  return batch.count != 0;
}

bool ChipEngine::take(Batch& batch, Appetite appetite, bool may_quick) {
  if (!active_) return false;
  if (may_quick && (take_kind(batch, quick_aiv) || take_kind(batch, quick_aic))) return true;
  if (appetite == Appetite::quick) return false;
  // A set that has to start together is not starved: nothing else starts before it.
  if (!sets_.empty() && sets_.front()->sync_start) return false;
  if (appetite == Appetite::all && (take_kind(batch, lone_aic) || take_kind(batch, lone_aiv))) return true;
  if (take_kind(batch, short_aic) || take_kind(batch, short_aiv)) return true;
  return appetite == Appetite::all && (take_kind(batch, aic) || take_kind(batch, aiv));
}

bool ChipEngine::can_start(const TaskRecord& task) const noexcept {
  const std::uint32_t wanted = task.sync_start ? task.blocks : 1;
  if (uses_clusters(task)) return cores_.idle_clusters() >= wanted;
  return (task.lanes[TROUPE_CHIP_AIC] != nullptr ? cores_.free_aics() : cores_.free_aivs()) >= wanted;
}

bool ChipEngine::take_set(Piece& piece) {
  if (!active_) return false;
  if (sets_.empty()) {
    const auto work = graph_->pop_ready(set_kind);
    if (!work) return false;
    place(*record_of(work.cookie));
    if (checked_) begin_check(*record_of(work.cookie));
    sets_.push_back(record_of(work.cookie));
  }
  return start_blocks(*sets_.front(), piece);
}

// Hands out the next block, or all of them when they have to start together: the first piece to the caller, a
// thread for each other.
bool ChipEngine::start_blocks(TaskRecord& task, Piece& own) {
  if (!can_start(task)) return false;
  const std::uint32_t blocks = task.sync_start ? task.blocks : 1;
  const std::size_t others = std::size_t{blocks} * task.lane_count - 1;
  if (others != 0 && !parts_.threads.provide(others)) {
    fail_for_threads("no " + std::to_string(others + 1) + " threads for '" + task.entry->name +
                     "', whose parts have to run together");
    return false;
  }
  if (task.next_block == 0 && (task.has_fills || task.has_predicate) && !task.skipped) prepare(task);
  bool first = true;
  for (std::uint32_t i = 0; i < blocks; ++i) {
    const std::uint32_t block = task.next_block++;
    const std::uint32_t cluster = uses_clusters(task) ? cores_.idle_cluster() : 0;
    for (std::uint32_t lane = 0; lane < 3; ++lane) {
      if (task.lanes[lane] == nullptr) continue;
      Piece piece{&task, block, lane, cluster};
      if (uses_clusters(task)) {
        cores_.take_lane(cluster, lane);
      } else {
        const std::uint32_t core = lane == TROUPE_CHIP_AIC ? cores_.take_aic() : cores_.take_aiv();
        piece.cluster = core / 4;
        piece.lane = core % 4;
      }
      if (first) {
        own = piece;
        first = false;
        continue;
      }
      Lane* job = nullptr;
      if (idle_lanes_.empty()) {
        job = &lanes_.emplace_back(*this);
      } else {
        job = idle_lanes_.back();
        idle_lanes_.pop_back();
      }
      job->piece = piece;
      ++executing_;
      if (parts_.threads.start(*job)) continue;
      --executing_;
      task.failure = std::make_unique<Error>(
          Errc::system, "no thread for a part of '" + task.entry->name + "'", comm::threads_hint());
      end_piece(piece);
    }
  }
  if (task.next_block == task.blocks) sets_.pop_front();
  return true;
}

// Whether it is not over yet, because something that it started is not. Then a thread sees to its end.
bool ChipEngine::defer(TaskRecord& task) {
  std::erase_if(*task.deferred, [](const FlagCondition& condition) { return condition.holds(); });
  if (task.deferred->empty()) return false;
  const auto fail = [&task](Errc code, const std::string& why, const std::string& hint = "") {
    task.failure = std::make_unique<Error>(
        code, "'" + task.entry->name + "' left something to be completed later, " + why, hint);
    return false;
  };
  if (deferrals_.size() - idle_deferrals_.size() >= runtime::limits::deferred_tasks)
    return fail(Errc::capacity_exceeded, "as " + std::to_string(runtime::limits::deferred_tasks) +
                                             " tasks before it that wait for theirs");
  if (idle_deferrals_.empty()) idle_deferrals_.push_back(&deferrals_.emplace_back(*this));
  Deferral* job = idle_deferrals_.back();
  job->task = &task;
  ++executing_;
  if (parts_.threads.start(*job)) {
    idle_deferrals_.pop_back();
    return true;
  }
  --executing_;
  return fail(Errc::system, "and the host gives no thread to wait for it", comm::threads_hint());
}

void ChipEngine::end(TaskRecord* task) {
  if (task->deferred != nullptr && task->failure == nullptr && defer(*task)) return;
  if (checked_) end_check(*task);
  if (task->failure != nullptr) [[unlikely]] {
    const Error error = *task->failure;
    graph_->fail(task->id, error);
    latch(error);
  } else {
    graph_->complete(task->id);
  }
  retire(task);
}

void ChipEngine::list(TaskRecord& task) noexcept {
  task.is_listed = true;
  task.newer = nullptr;
  task.older = live_;
  if (live_ != nullptr) live_->newer = &task;
  live_ = &task;
}

void ChipEngine::retire(TaskRecord* task) noexcept {
  if (task->is_listed) {
    (task->newer != nullptr ? task->newer->older : live_) = task->older;
    if (task->older != nullptr) task->older->newer = task->newer;
  }
  records_.give_back(task);
}

// The kernel that a batch is at goes to sleep. What came before it has ended, and may be what it waits for;
// what comes behind it goes back, for others to take.
void ChipEngine::split(Batch& batch) {
  if (batch.of_main) main_busy_ = true;
  if (std::exchange(batch.works, false)) --working_;
  kernels_run_ += batch.at;
  for (std::uint32_t i = 0; i < batch.at; ++i) end(batch.tasks[i]);
  for (std::uint32_t i = batch.at + 1; i < batch.count; ++i) graph_->requeue(batch.tasks[i]->id);
  batch.tasks[0] = batch.tasks[batch.at];
  batch.at = 0;
  batch.count = 1;
  drain_ended();
}

void ChipEngine::end_batch(Batch& batch, bool go_on) {
  const std::uint32_t count = batch.count;
  kernels_run_ += count;
  for (std::uint32_t i = 0; i + 1 < count; ++i) end(batch.tasks[i]);
  TaskRecord* last = batch.tasks[count - 1];
  const bool deferred = last->deferred != nullptr;
  if (checked_ && !deferred) end_check(*last);
  if (!go_on || deferred || last->failure != nullptr) [[unlikely]] {
    end(last);
    batch.count = 0;
  } else {
    const auto next = graph_->complete_and_pop(last->id);
    retire(last);
    refill(batch, next);
  }
  drain_ended();
}

void ChipEngine::end_piece(const Piece& piece) {
  TaskRecord* task = piece.task;
  cores_.give_back(piece.cluster, piece.lane);
  ++kernels_run_;
  if (--task->pieces_left == 0) end(task);
  drain_ended();
  signal();
}

// A set of which some blocks will never start.
void ChipEngine::drop_set(TaskRecord& task) {
  task.pieces_left -= (task.blocks - task.next_block) * task.lane_count;
  task.next_block = task.blocks;
  if (task.pieces_left != 0) return;
  graph_->fail(task.id, *failure_);
  retire(&task);
}

void ChipEngine::drain_ended() {
  if (!others_end_) return;
  while (auto ended = graph_->pop_ended()) {
    if (ended->cookie != 0) retire(record_of(ended->cookie));
  }
}

void ChipEngine::latch(const Error& error) {
  if (failure_) return;
  failure_ = error;
  fatal_code_.store(error.code().value, std::memory_order_relaxed);
  others_end_ = true;
  graph_->cancel_all(error);
  kernels_->flags().end_deferred();
  while (!sets_.empty()) {
    TaskRecord* task = sets_.front();
    sets_.pop_front();
    drop_set(*task);
  }
  held_.clear();
  drain_ended();
  signal();
}

// The end of doing without the baton; who calls it holds it.
void ChipEngine::join() {
  if (!solo_) return;
  solo_ = false;
  if (std::exchange(abort_wanted_, false)) latch(aborted());
}

// Whether a thread could start something now: it is ready, and there is a core for it.
bool ChipEngine::can_take(bool quick) const noexcept {
  if (!active_) return false;
  const auto waits = [this](std::uint8_t on_aic) {
    return (graph_->ready_count(on_aic) != 0 && cores_.has_aic()) ||
           (graph_->ready_count(on_aic + 1) != 0 && cores_.has_aiv());
  };
  if (quick && waits(quick_aic)) return true;
  if (sets_.empty()) {
    if (graph_->ready_count(set_kind) != 0) return true;
  } else {
    if (can_start(*sets_.front())) return true;
    if (sets_.front()->sync_start) return false;
  }
  return waits(short_aic) || waits(aic) || waits(lone_aic);
}

// Threads that work are as many as the host has processors. Those whose kernel may wait do not count: what it
// waits for needs a thread too.
void ChipEngine::want_helper() {
  if (!can_take(main_busy_)) return;
  if (idle_ != 0) signal();
  if (looking_ != 0) return;
  const bool program_works = program_runs_ && waits_ == Waits::nothing && !helping_;
  if (working_ + (program_works ? 1 : 0) >= workers_) return;
  Helper* helper = nullptr;
  if (idle_helpers_.empty()) {
    helper = &helpers_.emplace_back(*this);
  } else {
    helper = idle_helpers_.back();
    idle_helpers_.pop_back();
  }
  if (parts_.threads.start(*helper)) {
    ++looking_;
  } else {
    idle_helpers_.push_back(helper);
    do_without_helper();
  }
}

// There is work and no thread for it. Whoever ends a kernel, the program or its wait takes it up; but when
// all of them are inside kernels that wait, it may be what they wait for, and nobody would ever come.
void ChipEngine::do_without_helper() {
  helpless_ = true;
  if (!main_inside_) return;
  std::size_t waiting = 0;
  std::string who;
  const auto add = [&](const std::string& where, const CoreSlot& slot) {
    ++waiting;
    const char* name = slot.name.load(std::memory_order_acquire);
    who += (who.empty() ? "" : ", ") + where + (name != nullptr ? ": '" + std::string(name) + "'" : "");
  };
  for (const std::uint32_t core : parts_.board.waiting()) add(core_name(core), parts_.board.core(core));
  for (const auto& deferral : deferrals_) {
    if (deferral.slot.waits()) add("no core", deferral.slot);
  }
  if (waiting < executing_) return;
  fail_for_threads("no thread for a kernel that is ready, while those that run wait (" + who + ")");
}

// What runs and waits would not end by itself: perhaps for what now will not run.
void ChipEngine::fail_for_threads(const std::string& what) {
  latch(Error(Errc::system, what, comm::threads_hint()));
  kernels_->interrupt();
}

bool ChipEngine::finished() const noexcept {
  if (!active_) return true;
  if (program_runs_ || executing_ != 0) return false;
  const auto status = graph_->status();
  // After a failure, what is neither running nor ready never will be: a cycle does not end by being
  // cancelled.
  return status.live == 0 || (failure_ && status.running == 0 && status.ready == 0);
}

// Tasks have ended on a thread that goes on: whoever idles is told when there is something for it, and not
// for every link of a chain.
void ChipEngine::signal_if_of_use() noexcept {
  if (idle_ != 0 && (waits_ != Waits::nothing || can_take(true) || finished())) signal();
}

void ChipEngine::signal() noexcept {
  if (idle_ == 0) return;
  signal_.fetch_add(1, std::memory_order_release);
  if (sleeping_ != 0) futex_wake(signal_, static_cast<int>(sleeping_));
}

}  // namespace troupe::platform::sim

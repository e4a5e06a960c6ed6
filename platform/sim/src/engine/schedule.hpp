#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "engine/bell.hpp"
#include "engine/deferrals.hpp"
#include "engine/run_failure.hpp"
#include "engine/whereabouts.hpp"
#include "graphs/graphs.hpp"
#include "tasks/tasks.hpp"
#include "troupe/runtime/task_graph.hpp"

namespace troupe::platform::sim {

/// Single tasks that one thread runs one after the other on one core. Of short kernels it is a tray: whoever
/// holds the baton ends what its thread has done, and lays on more.
struct Batch {
  static constexpr std::uint32_t most = 32;

  TaskRecord*& task(std::uint32_t index) noexcept { return tasks[index % most]; }
  bool is_done() const noexcept {
    return at.load(std::memory_order_relaxed) == count.load(std::memory_order_acquire);
  }
  bool is_empty() const noexcept { return count.load(std::memory_order_relaxed) == 0; }

  // With the baton.
  std::array<TaskRecord*, most> tasks;
  std::uint32_t ended = 0;  ///< those before have been told to the graph
  std::uint32_t lane = 0, cluster = 0;
  std::uint32_t enough = 1;  ///< so many are for as long as a tray should last
  std::uint8_t kind = 0;
  bool of_main = false;    ///< its thread is the program's
  bool works = false;      ///< counted as one that ends by itself
  bool is_tray = false;    ///< others may lay on more
  std::uint64_t left = 0;  ///< ticks when its thread came out of the last kernel; 0: on its way to none
  alignas(64) std::atomic<std::uint32_t> count{0};  ///< changed with the baton
  alignas(64) std::atomic<std::uint32_t> at{0};     ///< the one that runs; its thread's
};

/// What a thread takes on: the program's, which has more to do, leaves what is long or unknown to others.
enum class Appetite : std::uint8_t { quick, brief, all };

/// What may run, on which core, and what its end brings about: the graph of one run, the cores it has, and
/// its failure. Starts no kernels and no threads (but for what a task defers). With the baton, but for what
/// says otherwise; the program's thread uses cores() without it while it is alone.
class Schedule {
 public:
  struct Parts {
    TaskRecords& records;
    Intermediates& intermediates;
    TaskChecks& checks;
    TaskTraces& traces;
    GraphReplays& replays;
    Deferrals& deferrals;
    Whereabouts& threads;
    Bell& bell;
  };
  Schedule(const Parts& parts, std::uint32_t workers) : parts_(parts), workers_(workers) {}

  void begin(const runtime::TaskGraphConfig& config, std::uint32_t clusters, FlagWaits& flags);
  /// The run is over; its failure stays to be read.
  void end_run();
  bool is_active() const noexcept { return active_; }

  runtime::TaskGraph& graph() noexcept { return *graph_; }
  const runtime::TaskGraph& graph() const noexcept { return *graph_; }
  CorePool& cores() noexcept { return cores_; }
  const CorePool& cores() const noexcept { return cores_; }
  std::uint32_t workers() const noexcept { return workers_; }

  // Failing.
  /// The code of the run's failure; 0: none. Any thread.
  std::int32_t failure_code() const noexcept { return failure_.code(); }
  const std::optional<Error>& failure() const noexcept { return failure_.error(); }
  /// Only the first one counts: nothing starts any more, what has not started is cancelled.
  void fail(const Error& error);
  /// An abort from outside. While the program's thread works without the baton it is only announced.
  void abort();
  /// The end of doing without the baton, which the caller has by now.
  void join() {
    if (!parts_.threads.alone) return;
    parts_.threads.alone = false;
    if (failure_.take_announced()) fail(aborted("the run was aborted"));
  }

  // Submitting.
  /// A submitted task of a graph with edges by hand, held back until they are known.
  void hold(TaskRecord& task);
  void release_held();
  /// A submitted task of which the graph does not know all that it touches.
  void list(TaskRecord& task) noexcept;
  bool holds_any() const noexcept { return !held_.empty(); }
  /// A node without work was submitted: such end by themselves.
  void expect_ended() noexcept { others_end_ = true; }
  /// Gives back the records of tasks that ended by themselves, and begins the replays that tasks waited for.
  void drain_ended();
  /// Whether no task that has not ended touches these bytes in a way that has to come first. The graph knows,
  /// unless the edges were given by hand.
  Result<bool> is_settled(const runtime::Access& access, bool edges_by_hand) const;

  // Taking. A batch or a set that was taken has its cores, and its memory is placed.
  bool take(Batch& batch, Appetite appetite, bool may_quick);
  /// From now on, and until it is closed, this one may be a tray.
  void open(Batch& batch) { trays_.push_back(&batch); }
  void close(Batch& batch) noexcept { std::erase(trays_, &batch); }
  /// Whether others may lay on more: of short kernels, where nothing is to be found at the end of each.
  bool may_be_tray(const Batch& batch) const noexcept {
    return (batch.kind == kinds::short_aic || batch.kind == kinds::short_aiv) && !parts_.checks.enabled();
  }
  /// Ends what has been run from the trays of others, and lays what is ready on those that get empty.
  void tend(const Batch* own);
  /// The task whose blocks or lanes come next, if there are cores for it.
  TaskRecord* next_set();
  /// How many calls start_blocks() would hand out.
  static std::size_t pieces_to_start(const TaskRecord& task) noexcept {
    return std::size_t{task.sync_start ? task.blocks : 1} * task.lane_count;
  }
  /// Hands out its next block, or all of them when they have to start together.
  void start_blocks(TaskRecord& task, std::vector<Piece>& pieces);
  /// Whether a thread could start something now: it is ready, and there is a core for it.
  bool can_take(bool quick) const noexcept;
  /// Short tasks come faster than the helpers run them: many are ready, or many are there and some are ready.
  bool falls_behind() const noexcept;
  /// What is ready keeps the helpers busy until the program looks again.
  bool has_backlog() const noexcept;

  // Ending.
  /// All tasks of it have run. `go_on`: it is filled with what the last one made ready; empty: nothing, and
  /// the caller gives its core back.
  void end_batch(Batch& batch, bool go_on);
  void end_piece(const Piece& piece);
  void end(TaskRecord* task);
  /// The kernel that the batch is at goes to sleep: the batch becomes that one alone.
  void split(Batch& batch);
  /// A task that the graph does not know has run.
  void count_kernel() noexcept { ++kernels_run_; }
  std::uint64_t kernels_run() const noexcept { return kernels_run_; }
  /// Whether no task is left that could run. After a failure, what is neither running nor ready never will
  /// be: a cycle does not end by being cancelled.
  bool is_over() const noexcept {
    const auto status = graph_->status();
    return status.live == 0 || (failure_.error() && status.running == 0 && status.ready == 0);
  }

 private:
  std::uint32_t ready_count(std::uint8_t kind) const noexcept {
    return graph_->ready_count(kind) + parts_.replays.ready_count(kind);
  }
  TaskRecord* pop(std::uint8_t kind);
  bool take_kind(Batch& batch, Kind kind);
  void end_done(Batch& batch, std::uint32_t done);
  void lay_on(Batch& tray);
  void look_ahead(const TaskRecord& last) const noexcept;
  void refill(Batch& batch, TaskRecord* next);
  void add_followers(Batch& batch);
  void begin_replays();
  void begin_replay(TaskRecord& whole);
  void end_step(const TaskRecord& task);
  void end_replay(GraphReplay& replay);
  void number_steps(GraphReplay& replay);
  void prepare(TaskRecord& task);
  void put_back(TaskRecord* task);
  std::uint32_t batch_limit(const TaskRecord& task, std::uint32_t ready) const noexcept;
  bool can_start(const TaskRecord& task) const noexcept;
  void place(TaskRecord& task);
  void drop_set(TaskRecord& task);
  void retire(TaskRecord* task) noexcept;

  const Parts parts_;
  const std::uint32_t workers_;
  bool active_ = false;                      ///< a run is in progress
  bool others_end_ = false;                  ///< tasks may have ended by themselves
  std::optional<runtime::TaskGraph> graph_;  ///< as new between runs
  runtime::TaskGraphConfig graph_config_;
  CorePool cores_;
  std::deque<TaskRecord*> sets_;  ///< tasks of several blocks or lanes that are not handed out wholly
  std::vector<Batch*> trays_;     ///< of the threads that take work now
  std::vector<runtime::TaskId> held_;
  TaskRecord* live_ = nullptr;  ///< tasks that have not ended, the newest first; with edges by hand
  std::uint64_t kernels_run_ = 0;
  FlagWaits* flags_ = nullptr;
  RunFailure failure_;
};

}  // namespace troupe::platform::sim

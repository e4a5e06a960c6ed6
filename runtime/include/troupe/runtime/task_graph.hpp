#pragma once

// The dependency engine: tasks go in, and come out in an order that keeps the meaning of the program. It owns
// its own book-keeping alone: no thread, lock, clock or I/O, and no memory of tensors. One owner at a time.
// Errors are values: submit() and the others that can refuse return a Result and change nothing then; late or
// doubled answers are told by `false`. Each task that was popped is owed complete(), fail() or requeue().

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "troupe/runtime/access.hpp"
#include "troupe/runtime/buffer_ref.hpp"
#include "troupe/runtime/errc.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/limits.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::runtime {

/// A task of one graph. Slots are reused, generations are not: the id of a task that ended never names
/// another one. The default id names none.
struct TaskId {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;
  constexpr explicit operator bool() const noexcept { return generation != 0; }
  friend constexpr bool operator==(TaskId, TaskId) noexcept = default;
};

/// Which executor a task runs on or is bound to; small numbers given by the owner.
using ExecutorId = std::uint32_t;
inline constexpr ExecutorId any_executor = 0xFFFF'FFFF;

/// A task to submit. Everything is read during the call, except that the characters of `name` must stay alive
/// until the task has ended.
struct TaskSpec {
  std::string_view name{};    ///< for errors and why()
  std::uint64_t cookie = 0;   ///< the owner's: an index of the task, or a pointer to it
  std::uint8_t kind = 0;      ///< which ready queue, < TaskGraph::max_kinds; kinds never block each other
  std::int32_t priority = 0;  ///< larger first; equal ones first come, first served
  std::uint32_t members = 1;  ///< a group: this many complete()/fail() calls end it
  std::uint32_t events = 0;   ///< signal() calls it waits for, besides its producers
  ExecutorId executor = any_executor;  ///< where it has to run: keeps in-order offers to that executor
  /// A node without work (an event, a barrier, an element read): never popped; it ends by itself once all it
  /// waits for is there, and is reported by pop_ended().
  bool node_only = false;
  std::span<const Access> accesses{};
  std::span<const TaskId> after{};  ///< explicit producers; ended ones do not count, failed ones poison
};

enum class TaskState : std::uint8_t {
  none,     ///< no such task (any more)
  pending,  ///< waits for producers or events
  blocked,  ///< waits for memory only (would_block)
  ready,    ///< waits to be popped
  running,  ///< popped; the owner owes complete(), fail() or requeue()
};

/// A task handed out to run.
struct Work {
  TaskId id;
  std::uint64_t cookie = 0;
  constexpr explicit operator bool() const noexcept { return static_cast<bool>(id); }
};

/// A task that ended without complete() or fail(): poisoned, cancelled, or a node without work.
struct Ended {
  TaskId id;
  std::uint64_t cookie = 0;
  std::optional<Error> error;  ///< empty: a node_only task ended well
};

/// Where an intermediate lies: bytes from the start of the memory behind arena `arena`.
struct Placement {
  std::uint32_t arena = 0;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;  ///< as placed, rounded up to the block alignment
};

/// How many tasks are in which state. Quiescent: running + ready == 0.
struct GraphStatus {
  std::uint64_t submitted = 0, completed = 0, failed = 0, poisoned = 0, cancelled = 0;  ///< so far
  std::uint32_t live = 0;  ///< submitted and not ended = pending + blocked + ready + running
  std::uint32_t pending = 0, blocked = 0, ready = 0, running = 0;
};

struct TaskGraphConfig {
  /// Size of the memory behind each arena; intermediates of scope depth d come from arena min(d, 3).
  /// 0: intermediates of that depth are refused.
  std::array<std::uint64_t, limits::arenas> arena_bytes{};
  std::uint64_t block_alignment = limits::block_alignment;  ///< a power of 2
  /// The most live tasks per arena depth; 0: no limit. A full window refuses submits with `would_block`.
  std::uint32_t task_window = 0;
  /// The most live edges; 0: no limit. Checked before a submit: it may overshoot by one task's edges.
  std::uint32_t edge_limit = 0;
  std::uint32_t scope_depth = limits::scope_depth;  ///< nested begin_scope() calls
  /// Arena number of the symbolic references that alloc() returns.
  std::uint32_t intermediate_arena = 0xFFFF'FFFE;

  friend bool operator==(const TaskGraphConfig&, const TaskGraphConfig&) = default;
};

/// The dependency engine: it says which tasks may run now, given the tasks submitted in program order. The
/// promise: *running the tasks in any order this class allows leaves the memory as running the submits one
/// after the other.*
///
/// One owner at a time; no threads, locks, clocks or I/O inside; the same calls give the same answers. Hand
/// it to another thread like any other value: with a happens-before edge.
///
/// Dependencies: a task waits for every earlier task whose accesses share a byte with its own unless both
/// only read (RAW, WAR, WAW; see `overlaps` for exactness), and for `after`. There is no limit on producers.
///
/// Failure: a failed task poisons the tasks that need its *result*: those that read a byte it was to write
/// last, and those that named it in `after`; also when they are submitted later. Tasks that merely have to
/// come after it (WAR, or a full overwrite with `out`) run. A poisoned task ends as soon as all its producers
/// have ended.
///
/// A task that cannot get memory for its intermediates is `blocked` — a state, never a wait inside a call.
/// Memory is given in the program order of first use, so a graph gets stuck only where running the program
/// one task at a time would (or where the arena is fragmented; the error's memory map tells).
class TROUPE_API TaskGraph {
 public:
  static constexpr std::size_t max_kinds = 16;

  explicit TaskGraph(const TaskGraphConfig& config = {});
  ~TaskGraph();
  TaskGraph(TaskGraph&&) noexcept;
  TaskGraph& operator=(TaskGraph&&) noexcept;

  /// As a new graph of that configuration, in the memory of this one unless that is large. Ids and references
  /// of before mean nothing to it.
  void restart(const TaskGraphConfig& config);

  // --- building: program order -----------------------------------------------------------------------------

  /// Adds a task; changes nothing when it fails. Errors: `would_block` (window full: let tasks end, submit
  /// again), `invalid_args` (bad kind, tag, range or members; an intermediate that is gone or whose scope has
  /// ended), `heap_ring_deadlock` (its intermediates never fit together; with a memory map), `cancelled`.
  Result<TaskId> submit(const TaskSpec& spec);
  /// Whether submit() would not answer `would_block` now.
  bool has_room() const noexcept;
  /// An explicit edge between submitted tasks. `after` must not have been popped (keep it back with
  /// `TaskSpec::events` while a graph is built in any order). May close a cycle: deadlock() finds it.
  Result<void> add_edge(TaskId before, TaskId after);
  /// One of the events a task waits for has come; with an error: the task is poisoned by it.
  /// False: no such task, or it waits for no event.
  bool signal(TaskId task);
  bool signal(TaskId task, const Error& error);

  /// Scopes nest to `scope_depth` and never block. The graph starts in the outermost one (depth 0). Ending a
  /// scope takes away all handles to its intermediates: they are freed when their last reader is done.
  Result<void> begin_scope();
  Result<void> end_scope();
  std::uint32_t depth() const noexcept;

  /// An intermediate of the current scope, by symbolic reference, with one handle. Memory is given at first
  /// use. Errors: `invalid_args` (0 bytes), `heap_ring_deadlock` (larger than its arena).
  Result<BufferRef> alloc(std::uint64_t bytes, std::string_view name = {});
  /// Handles name an intermediate for later submits; without handles it ends with its last reader.
  /// False: there is no such intermediate (or no handle) any more.
  bool retain(BufferRef intermediate);
  bool release(BufferRef intermediate);
  /// Where it lies; nothing while it has no memory. Every intermediate of a popped task is placed.
  std::optional<Placement> placement(BufferRef intermediate) const;

  /// No submit will follow: ends all scopes.
  void close();

  // --- running ---------------------------------------------------------------------------------------------

  /// The next ready task of a kind, now running; none when there is none.
  Work pop_ready(std::uint8_t kind);
  /// Ready tasks of a kind (an upper bound: cancelled ones may be counted).
  std::uint32_t ready_count(std::uint8_t kind) const noexcept;

  /// In-order dispatch: a running task was queued on a FIFO executor. From then on, tasks of its kind all of
  /// whose unfinished producers are queued there are offered by pop_in_order(), running when popped: queue
  /// them on that executor (and call dispatched() again, to go on) or requeue() them. Should a producer fail,
  /// the executor must not run them: is_poisoned() says so, and complete() or fail() of such a task ends it
  /// as poisoned. Groups and bound tasks of another executor are not offered.
  bool dispatched(TaskId task, ExecutorId executor);
  Work pop_in_order(ExecutorId executor);
  /// A running task goes back (not placed, executor lost, to be tried again): ready, or pending when its
  /// producers have not ended. It is not offered in order again by the dispatches made so far.
  bool requeue(TaskId task);
  bool is_poisoned(TaskId task) const noexcept;

  /// One member of a running task has ended. The last member ends the task and releases its dependents.
  /// False: not running (a late or doubled answer); nothing happens.
  bool complete(TaskId task);
  /// The same, with an error: the first error is the task's. Members still out are waited for.
  bool fail(TaskId task, const Error& error);
  /// complete(), and the first task of the same kind this made ready is handed out directly: the successor
  /// stays where its producer ran, and no queue is touched on a chain.
  Work complete_and_pop(TaskId task);

  /// Ends a task that was not popped (when its producers have ended) and poisons its dependents.
  /// False: running (let the executor stop it, then fail()) or gone.
  bool cancel(TaskId task, const Error& reason);
  /// Every task that was not popped, and every submit from now on.
  void cancel_all(const Error& reason);
  /// Tasks that ended by themselves, oldest first.
  std::optional<Ended> pop_ended();

  // --- asking ----------------------------------------------------------------------------------------------

  GraphStatus status() const noexcept;
  /// Submitted and not ended.
  std::uint32_t live() const noexcept;
  TaskState state(TaskId task) const noexcept;
  /// Producers that have not ended, and events that have not come.
  std::uint32_t waits_for(TaskId task) const noexcept;
  std::uint64_t cookie(TaskId task) const noexcept;  ///< 0 when gone
  std::string_view name(TaskId task) const noexcept;
  /// Why a task failed, was poisoned or cancelled, also after it ended; nothing for any other.
  std::optional<Error> error(TaskId task) const;
  /// Whether the bytes may be touched from outside now as the tag says: nothing unfinished conflicts.
  /// An error: a reader would be poisoned.
  Result<bool> settled(const Access& access) const;
  /// The reasons why a task waits, in words; `executors`: their names, by number. Costs a walk over the live
  /// tasks.
  std::string why(TaskId task, std::span<const std::string> executors = {}) const;
  /// When nothing runs and nothing is ready but a task waits: the tasks that are stuck, and the reason (the
  /// cycle, the event that did not come, the arena with its map). Nothing otherwise. The owner decides
  /// whether a submit, signal or release can still come; if not, this is the program's error. Codes:
  /// `heap_ring_deadlock`, `flow_control_deadlock` (also `window_full`), `deadlock`.
  std::optional<Error> deadlock() const;
  /// The blocks of the arenas, for people.
  std::string memory_map() const;

 private:
  struct TROUPE_LOCAL State;
  std::unique_ptr<State> state_;
};

}  // namespace troupe::runtime

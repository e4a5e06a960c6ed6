#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/baton.hpp"
#include "kernels/kernels.hpp"
#include "engine/core_pool.hpp"
#include "threads/threads.hpp"
#include "engine/graph_limits.hpp"
#include "options.hpp"
#include "runs/runs.hpp"
#include "engine/task_record.hpp"
#include "troupe/platform/chip_program_abi.h"
#include "troupe/runtime/task_graph.hpp"

namespace troupe::platform::sim {

/// Runs task graphs on a chip's cores: those of chip programs, and those that a bare kernel with several
/// blocks comes to. All state below the baton is touched by whoever holds it: a thread takes it, takes work,
/// gives it back before it enters a kernel, runs the kernel itself, takes it again to complete. So a chain
/// costs no hand-over between threads, and a kernel that blocks never stops the scheduling.
///
/// Who runs what: the program's own thread runs the program, and in between the kernels that are known to be
/// so short that another thread would cost more than it brings; helpers run the others, at most as many as
/// the host has processors; sets that have to run together get threads of their own. One run at a time.
class ChipEngine {
 public:
  struct Parts {
    HostServices& host;
    CoreThreads& threads;
    CallableTable& callables;
    DeviceMemory& memory;
    WindowSet& windows;
    CoreBoard& board;
    Pipes& pipes;
  };
  ChipEngine(const Parts& parts, const Options& options);
  ~ChipEngine();
  ChipEngine(const ChipEngine&) = delete;
  ChipEngine& operator=(const ChipEngine&) = delete;

  /// Runs one program, or all blocks of one kernel. `tensors` have device addresses.
  Result<void> run(Run& run, std::span<const runtime::Tensor> tensors, RunQueue& queue);
  /// Ends `run` if it is the one that runs here. Any thread.
  void interrupt(const Run& run) noexcept;
  /// What tasks that hold no core any more wait for. Any thread.
  void look_at_deferred(const std::function<void(const CoreSlot&)>& look) const;
  /// The host has copied something to the chip, for which a kernel may wait. Any thread.
  void memory_written() noexcept;

  // What a chip program can ask for; its own thread. Each does nothing after a fatal.
  std::uint64_t submit(troupe_chip_task_v1& task);
  void edge(std::uint64_t before, std::uint64_t after);
  void begin_scope();
  void end_scope();
  void alloc(troupe_chip_argument_v1& argument);
  std::uint64_t get(const runtime::Tensor& tensor, std::uint64_t element);
  void set(const runtime::Tensor& tensor, std::uint64_t element, std::uint64_t value);
  void fail(Error error);
  std::int32_t fatal() const noexcept { return fatal_code_.load(std::memory_order_relaxed); }
  void log(std::int32_t level, const char* text);

 private:
  class Host;
  struct Helper;
  struct Lane;
  struct Deferral;
  /// One kernel call to be made: a block of a task on a core.
  struct Piece {
    TaskRecord* task = nullptr;
    std::uint32_t block = 0, lane = 0, cluster = 0;
  };
  /// Single tasks that one thread runs one after the other on one core.
  struct Batch {
    static constexpr std::uint32_t most = 32;
    std::array<TaskRecord*, most> tasks;
    std::uint32_t count = 0;
    std::uint32_t at = 0;  ///< the one that runs
    std::uint32_t lane = 0, cluster = 0;
    bool of_main = false;  ///< its thread is the program's
    bool works = false;    ///< counted as one that ends by itself
    std::uint64_t left =
        0;  ///< ticks when its thread came out of the last kernel; 0: not on its way to the next
  };
  /// The argument words of the calls that one thread makes; unused ones are zero.
  struct Words {
    std::int64_t words[runtime::limits::kernel_words] = {};
    std::uint32_t used = 0;
    bool measures = false;    ///< whether calls are timed,
    std::uint64_t taken = 0;  ///< how many ticks the last such call took,
    std::uint64_t total = 0;  ///< and those of a batch together
  };
  /// Ready queues; even ones are for matrix cores. Quick and short: by what their kernels took so far. Lone
  /// ones may wait for others, so each has a thread to itself.
  enum Kind : std::uint8_t {
    quick_aic,
    quick_aiv,
    short_aic,
    short_aiv,
    aic,
    aiv,
    lone_aic,
    lone_aiv,
    set_kind,
    node_kind
  };
  /// What a thread takes on: the program's, which has more to do, leaves what is long or unknown to others.
  enum class Appetite : std::uint8_t { quick, brief, all };
  /// What the program's thread waits for in a call to us.
  enum class Waits : std::uint8_t { nothing, room, element };
  using Lock = std::unique_lock<Baton>;
  class Turn;

  // chip_engine.cpp: a run from begin to end
  Result<void> begin(Run& run, std::span<const runtime::Tensor> tensors);
  Result<void> check_config(const Run& run) const;
  void run_program(const Run& run, std::span<const runtime::Tensor> tensors);
  void submit_blocks(const Run& run, std::span<const runtime::Tensor> tensors);
  void finish(Run& run);

  // chip_submit.cpp: from arguments to tasks; program thread
  KernelEntry* kernel(const char* name, std::size_t size);
  KernelEntry* entry_of(const Callable& callable);
  bool check_task(const troupe_chip_task_v1& task);
  TaskRecord* make_record(troupe_chip_task_v1& task);
  bool check_signatures(const TaskRecord& record);
  bool run_at_once(const troupe_chip_task_v1& task, KernelEntry& entry, std::uint32_t lane);
  std::uint64_t submit_record(TaskRecord* record, std::span<const std::uint64_t> after, Lock& lock);
  bool is_quick(const KernelEntry& entry) const noexcept;
  void choose_kind(TaskRecord& record) const noexcept;
  void store(const runtime::Tensor& tensor, std::uint64_t element, std::uint64_t value, bool everywhere,
             Lock& lock);
  void release_held();
  std::uint64_t address_of(const runtime::Tensor& tensor);

  // chip_tensors.cpp: what a task is about; with the baton
  bool describe_argument(TaskRecord& record, std::uint32_t index, const troupe_chip_argument_v1& argument);
  bool add_tensor(TaskRecord& record, std::uint32_t index, const runtime::Tensor& tensor, runtime::Tag tag);
  bool is_argument(const runtime::Tensor& tensor) const noexcept {
    const std::uint64_t begin = tensor.buffer().offset, end = begin + tensor.buffer_bytes();
    for (const auto& [from, to] : argument_ranges_) {
      if (begin >= from && end <= to) return true;
    }
    return false;
  }
  bool known_address(const runtime::Tensor& tensor);
  bool give_memory(troupe_chip_argument_v1& argument);
  void own_outputs(TaskRecord& record, std::uint64_t task);
  std::uint64_t owner_of(const runtime::BufferRef& buffer) const noexcept;

  // chip_waits.cpp: what the program waits for, and when nothing can come any more
  bool wait_for_room(Lock& lock);
  bool wait_settled(const runtime::Tensor& tensor, std::uint64_t element, runtime::Tag tag, Lock& lock);
  Result<bool> settled(const runtime::Tensor& tensor, std::uint64_t element, runtime::Tag tag) const;
  void look_for_deadlock();
  Error stuck_for_room() const;
  Error stuck_for_element() const;
  std::string stuck_flags() const;

  // chip_check.cpp: on a checked chip, what kernels may only read, and may not touch at all; with the baton
  void begin_check(TaskRecord& task);
  void end_check(TaskRecord& task);
  bool others_may_write(const TaskRecord& task, std::uint32_t tensor) const;
  void guard(std::uint64_t address, std::uint64_t bytes, const runtime::Placement& placed);
  std::optional<Overstep> overstep(const TaskRecord& task, std::uint32_t tensor);
  std::string suspects(const TaskRecord& task, std::uint32_t tensor) const;
  std::uint64_t address_in_arena(const runtime::Placement& placed);

  // chip_schedule.cpp: with the baton
  bool take(Batch& batch, Appetite appetite, bool may_quick);
  bool take_kind(Batch& batch, Kind kind);
  void refill(Batch& batch, runtime::Work next);
  std::uint32_t batch_limit(const TaskRecord& task, std::uint32_t ready) const noexcept;
  bool take_set(Piece& piece);
  bool can_start(const TaskRecord& task) const noexcept;
  bool start_blocks(TaskRecord& task, Piece& own);
  void place(TaskRecord& task);
  void end(TaskRecord* task);
  bool defer(TaskRecord& task);
  void end_batch(Batch& batch, bool go_on);
  void end_piece(const Piece& piece);
  void drop_set(TaskRecord& task);
  void split(Batch& batch);
  void list(TaskRecord& task) noexcept;
  void retire(TaskRecord* task) noexcept;
  void drain_ended();
  void latch(const Error& error);
  void join();
  bool can_take(bool quick) const noexcept;
  void want_helper();
  void do_without_helper();
  void fail_for_threads(const std::string& what);
  void main_is_back() noexcept;
  bool finished() const noexcept;
  void signal() noexcept;
  void signal_if_of_use() noexcept;
  std::uint64_t arena(std::uint32_t number);

  // chip_serve.cpp: around the kernels
  enum class Role : std::uint8_t { helper, main, waiting };
  using Done = std::function<bool()>;
  void serve(Lock& lock, Role role, const Done& done);
  bool idle(Lock& lock, Role role);
  void help(Lock& lock);
  bool falls_behind() const noexcept;
  void run_own(Lock& lock, std::uint32_t& budget);
  void run_own_task(TaskRecord& task, std::uint32_t core);
  void serve_helper(Helper& helper) noexcept;
  void run_lane(Lane& lane) noexcept;
  void run_deferral(Deferral& deferral) noexcept;
  void run_taken(Batch& batch, Words& words, Lock& lock);
  void run_batch(Batch& batch, Words& words);
  void run_piece(const Piece& piece, Words& words);
  void prepare(TaskRecord& task);
  void call(TaskRecord& task, const Piece& piece, CoreSlot& core, Words& words);
  void parking(CoreSlot& core);
  void trace(const TaskRecord& task, const Piece& piece, std::uint64_t begin, std::uint64_t end, bool failed);
  void dump(const TaskRecord& task, bool after);
  void note_producers(std::uint64_t number, std::span<const std::uint64_t> after);
  void deliver_trace(std::uint64_t correlation);

  Parts parts_;
  const std::uint32_t workers_;
  const bool checked_;
  const GraphLimits limits_;
  mutable Baton baton_;

  // Learnt, kept between runs.
  std::map<const void*, std::unique_ptr<KernelEntry>> entries_;
  TaskRecords records_;
  std::array<std::uint64_t, runtime::limits::arenas> arenas_{};

  // Of the current run; program thread.
  struct CachedName {
    const char* name = nullptr;
    std::size_t size = 0;
    KernelEntry* entry = nullptr;
  };
  std::array<CachedName, 64> names_;
  std::vector<std::shared_ptr<const Callable>> kept_;
  const troupe_module_v1* module_ = nullptr;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> argument_ranges_;
  std::vector<runtime::Access> accesses_;
  std::vector<runtime::Box> boxes_;
  std::vector<runtime::TaskId> after_;
  std::uint32_t runtime_ = 0;
  std::uint32_t submits_ = 0;
  std::uint64_t next_number_ = 0;

  // Of the current run; with the baton.
  std::unique_ptr<Host> kernels_;
  std::optional<runtime::TaskGraph> graph_;
  CorePool cores_;
  std::deque<TaskRecord*> sets_;  ///< tasks of several blocks or lanes that are not handed out wholly
  std::vector<runtime::TaskId> held_;
  std::optional<Error> failure_;
  std::atomic<std::int32_t> fatal_code_{0};
  RunQueue* queue_ = nullptr;
  bool active_ = false;  ///< a run is in progress
  /// Nobody but the program's thread takes part in the run, so it needs no baton for what it does alone.
  /// Changed with the baton, by that thread.
  bool solo_ = false;
  bool abort_wanted_ = false;     ///< since then; latched when it is over
  bool program_runs_ = false;     ///< its program has not returned,
  Waits waits_ = Waits::nothing;  ///< but waits in a call to us,
  bool helping_ = false;          ///< or runs a kernel between two submits
  bool stuck_ = false;            ///< what the program waits for cannot come
  bool helpless_ = false;         ///< the host gave no thread
  bool main_inside_ = false;      ///< the main thread is inside a kernel,
  bool main_busy_ = false;        ///< which may be long
  bool others_end_ = false;       ///< tasks may have ended by themselves
  std::uint32_t executing_ = 0;   ///< threads inside kernels,
  std::uint32_t working_ = 0;     ///< of these in kernels that never waited: they end by themselves
  std::uint32_t looking_ = 0;     ///< threads that take whatever work comes
  std::uint32_t idle_ = 0, sleeping_ = 0;
  std::uint64_t kernels_run_ = 0;
  std::uint32_t hand_over_ticks_ = 0;  ///< what a helper needs from one short kernel to the next, per task
  /// By intermediate: the task it was made for, and whether nobody has used its memory yet.
  struct Made {
    std::uint64_t owner = runtime::no_owner;
    std::uint64_t bytes = 0;
    bool fresh = true;
  };
  std::vector<Made> made_;
  TaskRecord* live_ = nullptr;     ///< tasks that have not ended, the newest first; with edges by hand
  std::uint32_t task_window_ = 0;  ///< as configured for this run
  std::deque<Helper> helpers_;
  std::vector<Helper*> idle_helpers_;
  std::deque<Lane> lanes_;
  std::vector<Lane*> idle_lanes_;
  std::deque<Deferral> deferrals_;
  std::vector<Deferral*> idle_deferrals_;
  std::atomic<std::uint32_t> signal_{0};
  /// Checked chips: the running tasks and what they may only read, and the buffers that some task uses
  /// without ordering.
  std::map<const TaskRecord*, InputCheck> inputs_;
  std::set<std::pair<std::uint32_t, std::uint64_t>> unordered_;
  bool profile_ = false, dump_ = false;
  std::vector<troupe_trace_event> trace_;
  /// For traces alone: who touched which bytes last, and who therefore waited for whom.
  struct Touch {
    runtime::Access access;
    runtime::Box box;
    std::uint64_t number;
  };
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::vector<Touch>> touches_;
  std::map<std::uint64_t, std::vector<std::uint64_t>> producers_;
  std::map<std::uint64_t, std::uint64_t> numbers_;  ///< a program's task → its number in the trace
  Batch own_batch_;                                 ///< the program thread's
  Words own_words_;
};

/// A call of the program to us: with the baton, from begin to end.
class ChipEngine::Turn {
 public:
  explicit Turn(ChipEngine& engine) : engine_(engine), lock_(engine.baton_) { engine.join(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    engine_.solo_ =
        engine_.active_ && engine_.program_runs_ && engine_.executing_ == 0 && engine_.looking_ == 0;
  }
  Lock& lock() noexcept { return lock_; }

 private:
  ChipEngine& engine_;
  Lock lock_;
};

}  // namespace troupe::platform::sim

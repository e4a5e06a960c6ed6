#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/baton.hpp"
#include "engine/bell.hpp"
#include "engine/crew.hpp"
#include "engine/deadlock.hpp"
#include "engine/deferrals.hpp"
#include "engine/foreign_program.hpp"
#include "engine/kernel_runner.hpp"
#include "engine/program_waits.hpp"
#include "engine/schedule.hpp"
#include "engine/whereabouts.hpp"
#include "graphs/graphs.hpp"
#include "kernels/kernels.hpp"
#include "options.hpp"
#include "runs/runs.hpp"
#include "tasks/tasks.hpp"
#include "threads/threads.hpp"
#include "troupe/platform/chip_program_abi.h"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

/// Runs task graphs on a chip's cores: those of chip programs, and those that a bare kernel with several
/// blocks comes to. One run at a time. Here is a run from begin to end, and what its program may ask for; the
/// parts below do the rest.
///
/// All state of a run is touched with the baton: a thread takes it, takes work, gives it back before it
/// enters a kernel, runs the kernel itself, takes it again to complete. So a chain costs no hand-over between
/// threads, and a kernel that blocks never stops the scheduling. While the program's thread is alone
/// (Whereabouts::alone), it needs no baton to run a task at once.
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
  void fail(const Error& error);
  /// Also when there is no memory for an error.
  void fail(const Outcome& outcome) noexcept;
  std::int32_t fatal() const noexcept { return schedule_.failure_code(); }
  void log(std::int32_t level, const char* text);
  /// True: the program submits the tasks of the graph, and ends it; a scope is open that long.
  bool begin_graph(const troupe_chip_graph_v1& graph);
  /// `complete`: the program has got to its end.
  void end_graph(bool complete);

  // The same for one that describes its tasks by addresses (described_calls.cpp). A task's new tensors have
  // their memory when its submit returns.
  std::uint64_t submit(const DescribedTask& task);
  /// Memory that no task has to produce, filled at once; `owner` goes into the descriptor. False: the run has
  /// failed.
  bool alloc(const DescribedTensor& wanted, std::uint64_t owner, runtime::TensorDescriptor& output);
  /// Element `element` from the tensor's first; waits also for task `creator`, 0: none.
  std::uint64_t get(const runtime::TensorDescriptor& tensor, std::uint64_t element, std::uint64_t creator);
  void set(const runtime::TensorDescriptor& tensor, std::uint64_t element, std::uint64_t creator,
           std::uint64_t value);
  /// A kernel that is registered on the chip; null: there is none of that name. Good until the run ends.
  KernelEntry* find_kernel(const std::string& name) { return table_.find(name.data(), name.size()); }
  std::uint32_t clusters() const noexcept { return schedule_.cores().clusters(); }
  /// How many dependencies a pool holds; 0: as many as there are.
  std::uint32_t dependency_pool() const noexcept { return limits_.dependency_pool; }
  /// How many tasks a task waits for that is held back.
  std::uint32_t waits_for(std::uint64_t task) const;
  /// How many tasks an arena's scopes have room for.
  std::uint64_t task_window(std::size_t arena) const noexcept { return limits_.windows[arena]; }

 private:
  class Host;
  class Turn;
  using Lock = Crew::Lock;

  // engine.cpp: a run from begin to end
  Result<void> begin(Run& run, std::span<const runtime::Tensor> tensors, RunQueue& queue);
  Result<void> check_config(const Run& run) const;
  void run_program(const Run& run, std::span<const runtime::Tensor> tensors);
  void run_foreign_program(const Run& run, std::span<const runtime::Tensor> tensors);
  template <class Body>
  void watch_program(const Run& run, Body body);
  void submit_blocks(const Run& run, std::span<const runtime::Tensor> tensors);
  void replay_launched(const Run& run, std::span<const runtime::Tensor> tensors);
  void finish(Run& run);
  /// How many tasks have ended; nothing while the program or a kernel is at work. Any thread.
  std::optional<std::uint64_t> progress();

  // program_calls.cpp: what its program asks for
  bool check_task(const troupe_chip_task_v1& task);
  bool find_kernels(const troupe_chip_task_v1& task, TaskBuilder::Kernels& kernels);
  bool run_at_once(const troupe_chip_task_v1& task, KernelEntry& entry, std::uint32_t lane);
  std::uint64_t submit_record(TaskRecord* record, std::span<const std::uint64_t> after, Lock& lock);
  TaskRecord* whole_of(GraphReplay& replay);
  bool submit_replay(GraphReplay& replay, std::span<const runtime::Access> accesses, Lock& lock);
  bool check_together(std::uint32_t blocks, bool only_aiv);
  void store(const runtime::Tensor& tensor, std::uint64_t element, std::uint64_t value, bool everywhere,
             Lock& lock);
  void fail_with_refusal();
  /// Memory has changed for which a kernel may wait.
  void look_again() noexcept;

  // graph_calls.cpp
  struct OpenGraph {
    bool is_open = false;
    std::string name, place;
    std::vector<GraphSlots::Slot> slots;
  };
  bool means_the_same(const GraphRecording& recording);
  void replay(const GraphRecording& recording, OpenGraph& given, std::span<const std::uint64_t> scalars,
              const std::vector<std::uint8_t>& kinds, Lock& lock);
  void refuse_in_graph(const std::string& what, const std::string& hint);

  // described_calls.cpp
  bool locate(const runtime::BufferRef& buffer, runtime::TensorDescriptor& tensor, Lock& lock);
  static void fill(const runtime::TensorDescriptor& tensor, std::uint64_t element) noexcept;
  runtime::Access access_of(const runtime::TensorDescriptor& tensor, std::uint64_t element,
                            runtime::Tag tag) const;

  /// Nothing starts before it is told: edges may come later, or the program returns first.
  bool holds_tasks() const noexcept { return runtime_ != TROUPE_CHIP_RUNTIME_TENSORMAP; }
  bool has_edges_by_hand() const noexcept { return holds_tasks() && foreign_ == nullptr; }

  const Parts parts_;
  const GraphLimits device_limits_;
  GraphLimits limits_;  ///< of the current run
  const Error no_memory_{Errc::out_of_memory, "a chip program: there is no more memory"};
  mutable Baton baton_;

  // Of the current run; the program's thread.
  std::uint32_t runtime_ = 0;                ///< enum troupe_chip_runtime
  const ForeignProgram* foreign_ = nullptr;  ///< the program, if it came as bytes
  std::vector<runtime::TaskId> after_;
  std::uint64_t program_ = 0;                ///< its callable's number, which never comes again
  OpenGraph open_graph_;                     ///< that the program is inside of
  std::unique_ptr<GraphRecorder> recorder_;  ///< of that, while it is recorded
  KernelTable table_;
  GraphBook book_;

  // What a task is, from the bottom up. The order of all of these is that of construction.
  TaskRecords records_;
  Intermediates intermediates_;
  TaskChecks checks_;
  TaskTraces traces_;
  Pace pace_;
  TaskBuilder builder_;
  GraphReplays replays_{records_, pace_};

  // What runs when and on which thread, from the bottom up.
  Whereabouts whereabouts_;
  Bell bell_;
  Deferrals deferrals_;
  Schedule schedule_;
  KernelRunner runner_;
  DeadlockProof deadlock_;
  Crew crew_;
  ProgramWaits waits_;
  std::unique_ptr<Host> kernels_;  ///< of the current run
};

/// A call of the program to the engine: with the baton, from begin to end.
class ChipEngine::Turn {
 public:
  explicit Turn(ChipEngine& engine) : engine_(engine), lock_(engine.baton_) { engine.schedule_.join(); }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    Whereabouts& threads = engine_.whereabouts_;
    threads.alone = engine_.schedule_.is_active() && threads.could_be_alone();
  }
  Lock& lock() noexcept { return lock_; }

 private:
  ChipEngine& engine_;
  Lock lock_;
};

}  // namespace troupe::platform::sim

#pragma once

// The machine as its user holds it. The System owns everything and is destroyed last; Node, Handle and
// ChipDevice are shared names that may outlive it. Every call may come from any thread, but not from inside
// an actor, and may block that thread until the machine has answered; submit and cancel do not wait for the
// run.
// Errors are thrown as troupe::Error; calls after (or during) the System's end throw shut_down. A child of
// fork has neither the threads nor the devices of a System that its parent made: its calls throw wrong_state,
// its copy of the System ends without doing anything.

#include <chrono>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "troupe/actors/arguments.hpp"
#include "troupe/actors/callable.hpp"
#include "troupe/actors/config.hpp"
#include "troupe/actors/orchestrator.hpp"
#include "troupe/actors/run_outcome.hpp"
#include "troupe/actors/status.hpp"
#include "troupe/actors/submit_options.hpp"
#include "troupe/runtime/module.hpp"
#include "troupe/runtime/saturated.hpp"

namespace troupe::actors {

struct SystemCore;
struct NodeCore;
struct RunRef;

/// A run that was submitted. Copies name the same run; dropping all of them leaves it running. Safe on any
/// thread, also after the system has gone.
class TROUPE_API Handle {
 public:
  Handle() = default;

  bool done() const;
  /// Waits for the end; false: not in time. Any unit of std::chrono; what is longer than 292 years is for
  /// ever.
  bool wait(runtime::Nanoseconds timeout) const;
  void wait() const;
  /// Waits until the end, or until a stop is asked for, or not in time; false: that came first, and the run
  /// goes on.
  bool wait(const std::stop_token& stop,
            runtime::Nanoseconds timeout = std::chrono::nanoseconds::max()) const;
  /// Asks the run to end with `cancelled`. Fine when it has ended.
  void cancel() const;
  /// Why the run is not done, in words: a line for each of its oldest unfinished tasks, or for one of them
  /// (`Task::number`).
  std::string why(std::uint64_t task = 0) const;
  /// Waits, then how it ended; an error carries its path and cause.
  Result<void> result() const;
  /// Waits, then throws the run's error if it has one.
  void get() const { result().value(); }
  /// Waits, then returns everything that is known about the end.
  RunReport report() const;

 private:
  friend class Node;
  std::shared_ptr<RunRef> ref_;
};

/// How to run a program.
struct RunOptions {
  std::string name = "program";
  int priority = 0;
  /// From the submit on; 0: none. Then the run is given up: its tasks are cancelled, and every call that the
  /// program makes, or is waiting in, throws `deadline_exceeded`. Code of the program's own is not
  /// interrupted, no more than by `cancel`: the run ends, and who waits for it is answered, when the program
  /// makes its next call or returns.
  runtime::Nanoseconds deadline = {};
  /// When a stop is asked for, on any thread, the run ends as by Handle::cancel.
  std::stop_token stop = {};
  /// Of `run` alone: called on the caller's thread before it goes to sleep, and when it has been kept busy
  /// with other work for a while; perhaps more than once, and never in a run that is over at once. For who
  /// has something to arrange for a long wait, as to hear of signals. It may not throw.
  std::function<void()> before_waiting = {};
};

/// Direct use of one chip, without a graph. Blocking; for the caller's thread. Calls are not ordered with
/// runs that are in flight.
class TROUPE_API ChipDevice {
 public:
  /// Device memory, freed with the last tensor of it.
  template <runtime::Element T>
  Tensor malloc(const runtime::Shape& shape) const {
    return malloc(shape, runtime::dtype_of<T>);
  }
  Tensor malloc(const runtime::Shape& shape, runtime::DType dtype) const;
  /// Between contiguous tensors of the same size and element type, one on this chip, one in host memory.
  void copy_to(const Tensor& device, const Tensor& host) const;
  void copy_from(const Tensor& host, const Tensor& device) const;
  /// One task on this chip.
  template <class... Items>
  void run(std::string_view name, Items&&... items) const;
  int index() const noexcept { return index_; }
  /// Gives up everything on the chip and brings it up again: tasks there end as `chip_lost`, its memory and
  /// windows die (tensors on it are `data_lost`), callables are registered again when they are needed.
  void reset() const;

 private:
  friend class Node;
  void run_program(BoundProgram program) const;
  ChipDevice(std::shared_ptr<NodeCore> core, int index) : core_(std::move(core)), index_(index) {}
  std::shared_ptr<NodeCore> core_;
  int index_;
};

/// A worker of any level, as its user holds it: a node of chips, a pod of nodes. A cheap shared name; the
/// system owns what it stands for. Thread-safe. Calls throw `troupe::Error`.
class TROUPE_API Node {
 public:
  // --- callables for programs ----------------------------------------------------------------------------

  /// Everything in a module file, or in this program's own module (`load(this_module())`).
  void load(const std::string& path) const;
  void load(const runtime::Module& module) const;
  void add(CallableRef callable) const;
  /// A kernel from a foreign object: one `kernel_entry` in it, for cores of this kind.
  void add_kernel(const std::string& name, std::vector<std::uint8_t> object,
                  CoreKind cores = CoreKind::vector) const;
  /// A kernel that the platform knows by itself (scripted chips do).
  void add_kernel(const std::string& name) const { add_kernel(name, {}); }
  void add_function(const std::string& name, HostFunction function) const;

  // --- programs ------------------------------------------------------------------------------------------

  /// Runs a program to its end, helping with it on this thread. Throws the run's error.
  template <class F, class... Args>
  requires(!std::is_convertible_v<F, std::string_view>) void run(F program, Args... args) const {
    run_bound({}, bind_program("program", std::move(program), std::move(args)...));
  }
  template <class F, class... Args>
  void run(RunOptions options, F program, Args... args) const {
    auto bound = bind_program(options.name, std::move(program), std::move(args)...);
    run_bound(std::move(options), std::move(bound));
  }
  /// A program of a loaded module, by name.
  void run(std::string_view program, const Args& args = {}, RunOptions options = {}) const;

  /// Runs a program once and keeps what it submits, to be run again with other arguments:
  /// `auto plan = node.record(layer, x, y, 0.1f); node.run(plan, x2, y2, 0.2f);`. Throws the run's error, and
  /// what a plan is refused for (plan.hpp).
  template <class F, class... Args>
  requires(!std::is_same_v<F, Named>) Plan record(F program, Args... args)
  const { return record(actors::name("plan"), std::move(program), std::move(args)...); }
  template <class F, class... Args>
  Plan record(Named named, F program, Args... args) const {
    Plan plan;
    RunOptions options;
    options.name = named.value;
    run(std::move(options), [&](Orchestrator& node) { plan = node.record(named, program, args...); });
    return plan;
  }
  /// A plan that `plan.save(path)` wrote, as one of this node; nothing runs. Its code is found by digest
  /// among what the node knows. Throws unknown_callable for what the node does not know, bad_argument for
  /// tasks that it cannot run, cannot_read, wire_version, wire_truncated and wire_malformed for the file.
  Plan load_plan(const std::string& path) const;

  /// Starts a program and returns, also when it has to wait until others have ended (`max_runs`).
  template <class F, class... Args>
  requires(!std::is_convertible_v<F, std::string_view>) Handle submit(F program, Args... args)
  const { return submit_bound({}, bind_program("program", std::move(program), std::move(args)...)); }
  template <class F, class... Args>
  Handle submit(RunOptions options, F program, Args... args) const {
    auto bound = bind_program(options.name, std::move(program), std::move(args)...);
    return submit_bound(std::move(options), std::move(bound));
  }
  Handle submit(std::string_view program, const Args& args = {}, RunOptions options = {}) const;

  // --- buffers and chips ---------------------------------------------------------------------------------

  template <runtime::Element T>
  Tensor tensor(const runtime::Shape& shape, T fill = {}) const {
    Tensor made = host_tensor(shape, runtime::dtype_of<T>);
    for (auto& element : made.host<T>()) element = fill;
    return made;
  }
  Tensor host_tensor(const runtime::Shape& shape, runtime::DType dtype) const;
  /// Direct use of a chip.
  ChipDevice chip(Count index) const;
  /// How many chips (at a pod: nodes) there are now; see Orchestrator::chips.
  int chips() const;

  /// Adds or removes a child while programs run: chips and sub-workers of a node, nodes of a pod. Returns the
  /// number of the new one; removal waits for its last task, and takes no new ones meanwhile. They are
  /// numbered together, as `status().children` has them; the number of one that was removed stays free.
  int add_executor(const ExecutorConfig& config) const;
  void remove_executor(Count index) const;
  [[deprecated("say add_executor(config)")]] int add_chip(const ChipConfig& config) const {
    return add_executor(config);
  }
  [[deprecated("say remove_executor(index)")]] void remove_chip(Count index) const { remove_executor(index); }

  // --- chips that came up from configuration (`chip_bootstrap_configs`) ------------------------------------

  /// The facts about each chip: its rank, window, named buffers. Throws `wrong_state` when the node has no
  /// such configuration, `chip_lost` while a chip is being brought up again.
  std::vector<comm::ChipContext> chip_contexts() const;
  /// Copies buffers with `store_to_host` to their staging now (it happens by itself when the node ends):
  /// those called `name`, or all. Not ordered with runs that are in flight.
  void store_to_host(const std::string& name = {}) const;

  ExecutorStatus status() const;
  const std::string& name() const;

  /// The calls behind `run` and `submit`.
  void run_bound(RunOptions options, BoundProgram program) const;
  Handle submit_bound(RunOptions options, BoundProgram program) const;

 private:
  friend class System;
  friend class ChipDevice;
  friend struct SystemAccess;
  explicit Node(std::shared_ptr<NodeCore> core) : core_(std::move(core)) {}
  std::shared_ptr<NodeCore> core_;
};

/// Owns everything: threads, nodes, chips, buffers' memory. Made in `main`; two of them in one process do not
/// notice each other. The destructor ends every run (`shut_down`), stops the nodes and returns in bounded
/// time: a kernel or host function that does not return is left behind in quarantine, never waited for.
class TROUPE_API System {
 public:
  explicit System(SystemConfig config = {});
  /// As the command line says: `--platform P`, `--chips N`, `--trace FILE`, `--log-level L`, … (also
  /// `--x=v`), and `--config FILE` with lines `name = value` of the same names, which the command line
  /// overrides; docs/writing-programs.md lists them. Options about chips are for `node()`. Options of the
  /// program's own are named in `own` ("size" for `--size`); other arguments without `--`, and all behind a
  /// lone `--`, are left alone. Throws `bad_argument`, also for an unknown option.
  System(int argc, char** argv, std::initializer_list<std::string_view> own = {});
  System(const System&) = delete;
  System& operator=(const System&) = delete;
  ~System();

  /// A node, up and ready. Throws `bootstrap_failed` when a chip does not come up.
  Node node(const NodeConfig& config) const;
  /// A node as the command line asked for it.
  Node node() const;
  Node pod(const PodConfig& config) const;
  Node worker(std::shared_ptr<const WorkerConfig> config) const;

  /// Actors of this system that are alive; 0 after the last node is gone. For leak checks.
  std::size_t actors() const;

 private:
  friend struct SystemAccess;
  std::unique_ptr<SystemCore> core_;
};

template <class... Items>
void ChipDevice::run(std::string_view name, Items&&... items) const {
  static_assert((!detail::OneOf<std::decay_t<Items>, OnExecutor, Anywhere> && ...),
                "a chip runs it itself: submit it to a program where it is to go elsewhere");
  (void)detail::each_option_once<std::decay_t<Items>...>();
  detail::SubmitCall call;
  (call.take(std::forward<Items>(items)), ...);
  call.target = OnExecutor{index_};
  BoundProgram one;
  one.name = std::string(name);
  one.plain = [&](Orchestrator& node) { node.submit_gathered(node.callable(name), std::move(call)); };
  run_program(std::move(one));
}

}  // namespace troupe::actors

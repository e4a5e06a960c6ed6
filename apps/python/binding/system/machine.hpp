#pragma once

// The machine as Python holds it.

#include <functional>
#include <memory>

#include <pybind11/stl.h>

#include "arguments.hpp"
#include "border/interrupts.hpp"
#include "system/logs.hpp"

namespace troupe::python {

/// A System, and who takes its log lines.
struct RunningSystem {
  std::unique_ptr<actors::System> system;
  std::shared_ptr<LogPump> log;
};

/// A System, until it is closed.
class Machine {
 public:
  explicit Machine(const py::kwargs& options);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  ~Machine();

  /// Ends what runs. Inside Python; refused inside a program, which would wait for itself.
  void close();
  bool open() const { return running_.system != nullptr; }
  const actors::System& system() const;
  const actors::NodeConfig& defaults() const { return defaults_; }

 private:
  RunningSystem running_;
  std::shared_ptr<actors::TensorDump> dump_;
  actors::NodeConfig defaults_;
};
using MachineRef = std::shared_ptr<Machine>;

/// The options of a node, over those of the machine's.
actors::NodeConfig node_config(const actors::NodeConfig& defaults, const py::kwargs& options);
/// Options of a platform's devices, from a dict.
std::vector<std::pair<std::string, std::string>> device_options(py::handle given);
/// Where tasks go that are bound to no chip: by the name of a policy, or a function.
actors::PlacementPolicy policy_of(py::handle given);
/// How a chip comes up, from a dict, or from an object with attributes of those names.
comm::ChipBootstrapConfig bootstrap_config(py::handle given);

/// A node or pod. Keeps its system: a node is enough to hold on to.
struct NodeOf {
  actors::Node node;
  std::int64_t soft_limit = 8192;
  bool simulated = false;
};

/// A run that was submitted, with its program where that is one in Python.
struct RunOf {
  actors::Handle handle;
  std::shared_ptr<PythonProgram> program;
  bool simulated = false;
};

/// What ends runs when it is asked to, as many as were given it.
struct StopOf {
  std::stop_source source;
};

/// A task that was submitted, as its program has it: `name` empty where it was given none.
Wait task_of(const SeatRef& seat, actors::Task task, std::string callable, std::string name);

/// Runs it and waits for its end, hears of Ctrl-C; raises what it ended with, which `program` may know more
/// of.
void run_to_end(const actors::Node& node, actors::RunOptions options, actors::BoundProgram bound,
                const std::shared_ptr<PythonProgram>& program);
/// Raises what a run ended with.
[[noreturn]] void raise_end(const Error& error, const std::shared_ptr<PythonProgram>& program);

/// Runs a program on it and waits for its end; what the program returned.
py::object run(const actors::Node& node, std::int64_t soft_limit, const py::object& program,
               const py::tuple& args, const py::kwargs& options);

/// A tensor in host memory; large ones are made outside of Python. `fill` none: as it comes.
actors::Tensor new_tensor(const runtime::Shape& shape, runtime::DType dtype, const py::object& fill,
                          const std::function<actors::Tensor()>& make);

void close_all();
void add_plans(py::module_& module);
void add_orchestrator(py::module_& module);
void add_domains(py::module_& module);
void add_machine(py::module_& module);
void add_runs(py::module_& module);
void add_handles(py::module_& module);
void add_ends(py::module_& module);
void add_simulation(py::module_& module);
void add_placing(py::module_& module);
void add_status(py::module_& module);
void add_bootstrap(py::module_& module);
void add_traces(py::module_& module);
void add_ranks(py::module_& module);
void add_raw(py::module_& module);
void add_device(py::module_& module);

}  // namespace troupe::python

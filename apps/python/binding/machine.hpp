#pragma once

// The machine as Python holds it.

#include <memory>

#include <pybind11/stl.h>

#include "arguments.hpp"
#include "interrupts.hpp"

namespace troupe::python {

/// A System, until it is closed.
class Machine {
 public:
  explicit Machine(const py::kwargs& options);
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;
  ~Machine();

  /// Ends what runs. Inside Python; refused inside a program, which would wait for itself.
  void close();
  bool open() const { return system_ != nullptr; }
  const actors::System& system() const;
  const actors::NodeConfig& defaults() const { return defaults_; }

 private:
  std::unique_ptr<actors::System> system_;
  actors::NodeConfig defaults_;
};
using MachineRef = std::shared_ptr<Machine>;

/// A node or pod. Keeps its system: a node is enough to hold on to.
struct NodeOf {
  actors::Node node;
  std::int64_t soft_limit = 8192;
};

/// A run that was submitted, with its program where that is one in Python.
struct RunOf {
  actors::Handle handle;
  std::shared_ptr<PythonProgram> program;
};

/// Runs a program on it and waits for its end; what the program returned.
py::object run(const actors::Node& node, std::int64_t soft_limit, const py::object& program,
               const py::tuple& args, const py::kwargs& options);

/// The tensor, with every element as given.
runtime::Tensor filled(const actors::Tensor& tensor, const py::object& value);

void close_all();
void add_orchestrator(py::module_& module);
void add_domains(py::module_& module);
void add_machine(py::module_& module);
void add_runs(py::module_& module);
void add_simulation(py::module_& module);
void add_status(py::module_& module);
void add_raw(py::module_& module);
void add_device(py::module_& module);

}  // namespace troupe::python

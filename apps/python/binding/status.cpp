// What is known about nodes and runs, as plain values.
#include "machine.hpp"

namespace troupe::python {
namespace {

using actors::ExecutorStatus;
using actors::RunReport;

void write(std::string& text, const ExecutorStatus& status, int depth) {
  text += std::string(static_cast<std::size_t>(2 * depth), ' ') + status.name + ": " + status.state;
  for (const auto& busy : status.busy) text += "; " + busy;
  text += "\n";
  for (const auto& child : status.children) write(text, child, depth + 1);
}

std::string screen(const ExecutorStatus& status) {
  std::string text;
  write(text, status, 0);
  text.pop_back();
  return text;
}

}  // namespace

void add_status(py::module_& module) {
  py::class_<ExecutorStatus>(module, "Status", "What a node, or a chip of it, is doing: a snapshot.")
      .def_readonly("name", &ExecutorStatus::name)
      .def_readonly("state", &ExecutorStatus::state, "In words.")
      .def_readonly("queued", &ExecutorStatus::queued)
      .def_readonly("running", &ExecutorStatus::running)
      .def_readonly("completed", &ExecutorStatus::completed)
      .def_readonly("failed", &ExecutorStatus::failed)
      .def_readonly("restarts", &ExecutorStatus::restarts)
      .def_readonly("memory_used", &ExecutorStatus::memory_used,
                    "Of a chip, bytes: device tensors, windows, what runs.")
      .def_readonly("memory_cached", &ExecutorStatus::memory_cached, "Of a chip, bytes: copies of tensors.")
      .def_readonly("memory_peak", &ExecutorStatus::memory_peak)
      .def_readonly("windows", &ExecutorStatus::windows)
      .def_readonly("runs", &ExecutorStatus::runs)
      .def_readonly("busy", &ExecutorStatus::busy, "One sentence for each busy core or function.")
      .def_readonly("children", &ExecutorStatus::children)
      .def("__repr__", &screen);
  py::class_<RunReport>(module, "Report", "How a run ended, and what became of its tasks.")
      .def_property_readonly(
          "error",
          [](const RunReport& report) {
            return report.error ? exception_of(*report.error) : py::object(py::none());
          },
          "The first failure that the program did not await, or why the run was ended; None: it ended well.")
      .def_readonly("poisoned", &RunReport::poisoned,
                    "Names of tasks that were not run because of a failure; the first 64.")
      .def_readonly("all_poisoned", &RunReport::all_poisoned, "How many there were.")
      .def_readonly("tasks", &RunReport::tasks, "That the program submitted.")
      .def_readonly("inside", &RunReport::inside, "That programs below submitted.")
      .def_readonly("completed", &RunReport::completed)
      .def_readonly("retried", &RunReport::retried)
      .def_readonly("made_again", &RunReport::made_again)
      .def_readonly("waiting", &RunReport::waiting, "Why unfinished tasks waited when the run was given up.")
      .def_readonly("unfinished", &RunReport::unfinished)
      .def("__repr__", [](const RunReport& report) {
        return "<troupe.Report of " + std::to_string(report.tasks) + " tasks, " +
               (report.error ? "failed: " + std::string(report.error->code().name) + ">" : "ended well>");
      });
}

}  // namespace troupe::python

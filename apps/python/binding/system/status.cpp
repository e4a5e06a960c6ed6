// What is known about nodes and runs, as plain values.
#include "system/machine.hpp"

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
      .def_readonly("name", &ExecutorStatus::name, "\"node0\", \"chip3\", \"sub1\".")
      .def_readonly("state", &ExecutorStatus::state, "In words.")
      .def_readonly("queued", &ExecutorStatus::queued, "Tasks that it has taken, and not begun.")
      .def_readonly("running", &ExecutorStatus::running, "Tasks that run there now.")
      .def_readonly("completed", &ExecutorStatus::completed, "Tasks that ended well, since it came up.")
      .def_readonly("failed", &ExecutorStatus::failed, "Tasks that ended otherwise.")
      .def_readonly("restarts", &ExecutorStatus::restarts, "How often it was brought up again.")
      .def_readonly("memory_used", &ExecutorStatus::memory_used,
                    "Of a chip, bytes: device tensors, windows, what runs.")
      .def_readonly("memory_cached", &ExecutorStatus::memory_cached, "Of a chip, bytes: copies of tensors.")
      .def_readonly("memory_peak", &ExecutorStatus::memory_peak,
                    "Of a chip, bytes: the most of both together.")
      .def_readonly("windows", &ExecutorStatus::windows, "Of a chip: its parts of communication domains.")
      .def_readonly("runs", &ExecutorStatus::runs, "Of a node or pod: programs in flight.")
      .def_readonly("busy", &ExecutorStatus::busy, "One sentence for each busy core or function.")
      .def_readonly("children", &ExecutorStatus::children,
                    "Of a node its chips and sub-workers, of a pod its nodes.")
      .def_readonly("learned", &ExecutorStatus::learned,
                    "Of a node with a placement: what it has learned of its tasks, a LearnedCost for each "
                    "callable and size.")
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
      .def_readonly("completed", &RunReport::completed, "Tasks that ended well.")
      .def_readonly("retried", &RunReport::retried, "Attempts that were made again.")
      .def_readonly("made_again", &RunReport::made_again,
                    "Tasks that ran once more, for bytes that were lost with a chip.")
      .def_readonly("waiting", &RunReport::waiting, "Why unfinished tasks waited when the run was given up.")
      .def_readonly("unfinished", &RunReport::unfinished, "How many had not ended then.")
      .def("__repr__", [](const RunReport& report) {
        return "<troupe.Report of " + std::to_string(report.tasks) + " tasks, " +
               (report.error ? "failed: " + std::string(report.error->code().name) + ">" : "ended well>");
      });
}

}  // namespace troupe::python

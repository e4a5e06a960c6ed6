// Where tasks go that are bound to no chip: the policies that ship, and functions of Python's.
#include "system/machine.hpp"

namespace troupe::python {
namespace {

using actors::ChipForTask;
using Chips = std::span<const ChipForTask>;
using Policy = std::size_t (*)(const actors::TaskToPlace&, Chips);

struct Shipped {
  const char* name;
  Policy policy;
  const char* text;
};
constexpr Shipped shipped[] = {
    {"earliest_finish", actors::earliest_finish,
     "The chip on which the task ends first, by what was learned of such tasks, of those before it, and of "
     "copies."},
    {"least_loaded", actors::least_loaded,
     "The chip with the fewest tasks; of several the one that lacks the fewest bytes."},
    {"where_the_data_is", actors::where_the_data_is,
     "The chip that lacks the fewest bytes; of several the one with the fewest tasks."}};

/// A task as Python keeps it: what the node shows is good for the call alone.
struct TaskToPlace {
  std::string callable, name;
  std::uint64_t bytes = 0;
  int priority = 0;

  explicit TaskToPlace(const actors::TaskToPlace& of)
      : callable(of.callable), name(of.name), bytes(of.bytes), priority(of.priority) {}
  actors::TaskToPlace view() const { return {callable, name, bytes, priority}; }
};

double seconds_of(std::chrono::nanoseconds time) { return std::chrono::duration<double>(time).count(); }

/// The place in the list of what a policy answered with.
std::size_t place_of(const py::object& answer, Chips chips) {
  if (py::isinstance<ChipForTask>(answer)) {
    const auto chip = answer.cast<const ChipForTask&>().chip;
    for (std::size_t i = 0; i < chips.size(); ++i) {
      if (chips[i].chip == chip) return i;
    }
    throw bad_argument("the policy answered with chip " + std::to_string(chip) + ", which it was not given");
  }
  if (PyIndex_Check(answer.ptr()) != 0) {
    const auto place = PyNumber_AsSsize_t(answer.ptr(), nullptr);
    if (place >= 0 && static_cast<std::size_t>(place) < chips.size()) return static_cast<std::size_t>(place);
  }
  throw bad_argument("the policy answered with " + shown(answer),
                     "answer with one of the chips that it is given, or with its place in the list");
}

actors::PlacementPolicy calling(py::object function) {
  auto name = name_of(function);
  return [kept = Kept(std::move(function)), name = std::move(name)](const actors::TaskToPlace& task,
                                                                    Chips chips) {
    const WithPython inside;
    if (!inside) throw Error(actors::Errc::shut_down, "Python is ending");
    const UserCode here;
    try {
      const auto given =
          py::make_tuple(TaskToPlace(task), std::vector<ChipForTask>(chips.begin(), chips.end()));
      const auto answer = py::reinterpret_steal<py::object>(call_python(kept.get().ptr(), given.ptr()));
      if (!answer) throw py::error_already_set();
      return place_of(answer, chips);
    } catch (py::error_already_set& raised) {
      throw error_from(raised, "placement policy \"" + name + "\"");
    }
  };
}

}  // namespace

actors::PlacementPolicy policy_of(py::handle given) {
  if (given.is_none()) return {};
  const auto core = py::module_::import("troupe._core");
  const bool named = py::isinstance<py::str>(given);
  for (const auto& each : shipped) {
    if (named ? utf8_of(given) == each.name : given.is(core.attr(each.name))) return each.policy;
  }
  constexpr auto hint =
      "say earliest_finish, least_loaded or where_the_data_is, or give a function of (task, chips)";
  if (named || PyCallable_Check(given.ptr()) == 0)
    throw bad_argument("there is no placement " + shown(given), hint);
  if (is_coroutine_function(given))
    throw bad_argument("a placement policy must not wait: it is no async def function", hint);
  return calling(py::reinterpret_borrow<py::object>(given));
}

void add_placing(py::module_& module) {
  py::class_<TaskToPlace>(module, "TaskToPlace", "A task that could go to any chip, as a policy is shown it.")
      .def_readonly("callable", &TaskToPlace::callable, "The name of what it runs.")
      .def_readonly("name", &TaskToPlace::name, "Its own name, else that of what it runs.")
      .def_readonly("bytes", &TaskToPlace::bytes, "Of its tensors.")
      .def_readonly("priority", &TaskToPlace::priority, "As it was submitted with.")
      .def("__repr__", [](const TaskToPlace& task) { return "<troupe.TaskToPlace \"" + task.name + "\">"; });
  py::class_<ChipForTask>(module, "ChipForTask", "A chip that can take a task now, as a policy is shown it.")
      .def_readonly("chip", &ChipForTask::chip, "Its number.")
      .def_readonly("tasks", &ChipForTask::tasks, "How many tasks are there and have not ended.")
      .def_property_readonly(
          "busy", [](const ChipForTask& chip) { return seconds_of(chip.busy); },
          "Seconds until they have ended, as far as is known how long they take.")
      .def_readonly("missing", &ChipForTask::missing, "Bytes that the task reads and that are not there.")
      .def_property_readonly(
          "brings", [](const ChipForTask& chip) { return seconds_of(chip.brings); },
          "Seconds that it may take to bring them.")
      .def_property_readonly(
          "takes",
          [](const ChipForTask& chip) {
            return chip.takes ? std::optional<double>(seconds_of(*chip.takes)) : std::nullopt;
          },
          "Seconds that the task may take; None: none like it has ended.")
      .def("__repr__", [](const ChipForTask& chip) {
        return "<troupe.ChipForTask " + std::to_string(chip.chip) + " with " + std::to_string(chip.tasks) +
               " tasks>";
      });
  for (const auto& each : shipped) {
    module.def(
        each.name,
        [policy = each.policy](const TaskToPlace& task, const std::vector<ChipForTask>& chips) {
          if (chips.empty()) throw bad_argument("a policy chooses among chips, and there is none");
          return chips[policy(task.view(), chips)];
        },
        py::arg("task"), py::arg("chips"), each.text);
  }
  py::class_<actors::LearnedCost>(module, "LearnedCost",
                                  "What a node has learned of the tasks of a callable on its chips.")
      .def_readonly("callable", &actors::LearnedCost::callable, "Its name.")
      .def_readonly("bytes", &actors::LearnedCost::bytes,
                    "Of the tasks' tensors: from so many on, to half as many more at most.")
      .def_property_readonly(
          "takes", [](const actors::LearnedCost& cost) { return seconds_of(cost.takes); },
          "Seconds; the latest tasks count most.")
      .def_readonly("count", &actors::LearnedCost::count, "How many tasks it was learned from.")
      .def("__repr__", [](const actors::LearnedCost& cost) {
        return "<troupe.LearnedCost \"" + cost.callable + "\" from " + std::to_string(cost.bytes) +
               " bytes on: " + std::to_string(seconds_of(cost.takes)) + " s>";
      });
}

}  // namespace troupe::python

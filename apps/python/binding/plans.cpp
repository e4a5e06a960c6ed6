// Plans: a program recorded once, and submitted again.
#include "plans.hpp"

#include <algorithm>

namespace troupe::python {
namespace {

using actors::Orchestrator;
using actors::Plan;
using actors::detail::PlanArgument;

/// A number, rather than an array: what numpy makes of one is both.
bool is_number(py::handle item) {
  if (PyFloat_Check(item.ptr()) != 0 || PyLong_Check(item.ptr()) != 0) return true;
  const auto shape = py::getattr(item, "shape", py::none());
  return py::isinstance<py::tuple>(shape) && py::len(shape) == 0;
}

runtime::DType type_of(const runtime::ScalarArg& scalar) {
  return runtime::dtype_from_name(runtime::name_of(scalar.kind)).value_or(runtime::DType::f32);
}

/// A number that stays what it was: compared as exactly as Python has it.
runtime::ScalarArg fixed_number(py::handle value) {
  if (PyFloat_CheckExact(value.ptr()) != 0) return runtime::scalar(PyFloat_AS_DOUBLE(value.ptr()));
  return scalar_of(value, py::none());
}

PlanArgument of_tensor(actors::Tensor tensor) {
  PlanArgument argument;
  argument.is_tensor = true;
  argument.tensor = std::move(tensor);
  return argument;
}

/// An argument of a replay. `type`: what was recorded there, where that is a number.
PlanArgument argument_of(py::handle item, const std::string& type) {
  using actors::detail::plan_argument;
  if (const auto* use = tensor_use(item)) return plan_argument(*use);
  if (py::isinstance<runtime::ScalarArg>(item)) return plan_argument(item.cast<const runtime::ScalarArg&>());
  if (py::isinstance<SlotUse>(item)) return plan_argument(item.cast<const SlotUse&>());
  if (py::isinstance<SlotOf>(item)) {
    const auto& slot = item.cast<const SlotOf&>();
    return plan_argument(SlotUse{slot.value, slot.number});
  }
  if (!is_number(item)) return of_tensor(tensor_of(item, true));
  return plan_argument(type.empty() ? scalar_of(item, py::none()) : scalar_of(item, py::str(type)));
}

/// A parameter of a program that is recorded, and its type.
PlanArgument parameter_of(py::handle item, std::string& type) {
  PlanArgument argument;
  if (py::isinstance<SlotOf>(item)) {
    argument.scalar = item.cast<const SlotOf&>().value;
    argument.is_slot = true;
    argument.slot = item.cast<const SlotOf&>().number;
  } else if (is_number(item)) {
    argument.scalar = fixed_number(item);
  } else if (py::isinstance<actors::Tensor>(item) || PyObject_CheckBuffer(item.ptr()) != 0 ||
             py::hasattr(item, "__dlpack__")) {
    return of_tensor(tensor_of(item, true));
  } else {
    throw bad_argument(
        shown(item) + " is no parameter of a plan",
        "those are tensors, arrays, troupe.Slot(x) and numbers; what else the program needs it "
        "knows by itself: lambda node, x: program(node, x, settings)");
  }
  type = long_name(type_of(argument.scalar));
  return argument;
}

/// A program that is recorded, with its parameters, as long as that takes.
struct Recording {
  std::shared_ptr<PythonProgram> program;
  Kept args;
  std::vector<actors::Tensor> tensors;

  /// What the program is called with: tensors for what is one, slots that know their numbers.
  py::tuple given() const {
    const py::tuple before = args.get();
    py::tuple all(before.size());
    std::size_t next = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const py::object item = before[i];
      if (py::isinstance<SlotOf>(item)) {
        all[i] = py::cast(SlotOf{item.cast<const SlotOf&>().value, static_cast<std::int32_t>(i)});
      } else if (is_number(item)) {
        all[i] = item;
      } else {
        all[i] = py::cast(tensors[next++]);
      }
    }
    return all;
  }
};

actors::detail::PlanRecord record_of(const std::shared_ptr<Recording>& recording, const py::object& function,
                                     const py::tuple& args, const py::object& name, std::int64_t soft_limit,
                                     PlanOf& made) {
  actors::detail::PlanRecord record;
  record.name = name.is_none() ? name_of(function) : string_of(name, "name");
  record.names_lines = false;  // a traceback does
  recording->program = std::make_shared<PythonProgram>(function, args, record.name, soft_limit);
  recording->args = Kept(args);
  for (const auto item : args) record.parameters.push_back(parameter_of(item, made.types.emplace_back()));
  record.take = [recording](const std::vector<actors::Tensor>& tensors) { recording->tensors = tensors; };
  record.body = [recording](Orchestrator& node) -> actors::Program {
    {
      const WithPython inside;
      if (!inside) throw Error(actors::Errc::shut_down, "Python is ending");
      recording->program->give(recording->given());
    }
    const auto bound = recording->program->bind();
    if (bound.coroutine) return bound.coroutine(node);
    bound.plain(node);
    return {};
  };
  return record;
}

PlanOf record_in(const SeatRef& seat, const py::object& function, const py::args& args,
                 const py::object& name) {
  PlanOf made;
  const auto recording = std::make_shared<Recording>();
  auto record = record_of(recording, function, args, name, seat->soft_limit(), made);
  try {
    made.plan = seat->wait([&](Orchestrator& node) { return node.record_gathered(std::move(record)); });
  } catch (const Error& error) {
    raise_end(error, recording->program);
  }
  return made;
}

/// What `plan.parameters` says of one.
struct ParameterOf {
  std::string kind, dtype;
  py::object shape = py::none(), value = py::none();
  bool reads = false, writes = false;
};

std::vector<ParameterOf> parameters_of(const PlanOf& of) {
  std::vector<ParameterOf> all;
  for (const auto& it : of.plan.parameters()) {
    auto& one = all.emplace_back();
    one.kind = it.is_tensor ? "tensor" : it.is_slot ? "slot" : "number";
    one.dtype = long_name(it.is_tensor ? it.tensor.dtype() : type_of(it.scalar));
    if (it.is_tensor) {
      one.shape = tuple_of(it.tensor.shape());
    } else {
      one.value = value_of(it.scalar);
    }
    one.reads = it.reads;
    one.writes = it.writes;
  }
  return all;
}

PlanOf load_on(const NodeOf& on, const py::object& path) {
  PlanOf made;
  const auto file = path_of(path, "path");
  made.plan = without_python([&] { return on.node.load_plan(file); });
  for (const auto& it : made.plan.parameters())
    made.types.push_back(it.is_tensor ? std::string() : long_name(type_of(it.scalar)));
  return made;
}

void take_replay_option(actors::detail::PlanCall& call, const std::string& option, py::handle value) {
  actors::detail::SubmitCall one;
  if (option == "after" || option == "priority" || option == "deadline" || option == "retry" ||
      option == "idempotent") {
    take_option(one, option, value);
  } else {
    throw bad_argument("a replay has no option \"" + option + "\"",
                       "where its tasks run, and what they are called, was recorded with them; there are "
                       "after, priority, deadline, retry and idempotent");
  }
  for (auto& task : one.after) call.after.push_back(std::move(task));
  if (option == "priority" && !value.is_none()) call.priority = one.priority;
  if (one.deadline) call.deadline = one.deadline;
  if (one.retry) call.retry = one.retry;
  if (one.extras && one.extras->idempotent) call.idempotent = true;
}

actors::detail::PlanCall replay_of(const PlanOf& plan, const py::tuple& items) {
  actors::detail::PlanCall call;
  static const std::string tensor;
  for (std::size_t i = 0; i < items.size(); ++i)
    call.arguments.push_back(argument_of(items[i], i < plan.types.size() ? plan.types[i] : tensor));
  return call;
}

}  // namespace

actors::BoundProgram bind_plan(const PlanOf& plan, const py::tuple& items, py::kwargs& options) {
  auto call = replay_of(plan, items);
  // The others are those of a run.
  for (const char* option : {"retry", "idempotent"}) {
    if (!options.contains(option)) continue;
    take_replay_option(call, option, options[option]);
    (void)options.attr("pop")(option);
  }
  return actors::detail::bind_plan(plan.plan, std::move(call));
}

Wait submit_plan(const SeatRef& seat, const PlanOf& plan, const py::tuple& items, const py::kwargs& options) {
  auto call = replay_of(plan, items);
  for (const auto& [option, value] : options) take_replay_option(call, option.cast<std::string>(), value);
  // Each step is a task, or a group of as many as there are chips; their end is one more.
  const auto tasks = 1 + plan.plan.steps() * static_cast<std::size_t>(std::max(1, seat->use().chips()));
  auto task =
      seat->call([&](Orchestrator& node) { return node.submit_gathered(plan.plan, std::move(call)); }, tasks);
  return task_of(seat, std::move(task), plan.plan.name(), {});
}

PlanOf record_on(const NodeOf& on, const py::object& function, const py::tuple& args,
                 const py::object& name) {
  PlanOf made;
  const auto recording = std::make_shared<Recording>();
  auto record = std::make_shared<actors::detail::PlanRecord>(
      record_of(recording, function, args, name, on.soft_limit, made));
  actors::RunOptions options;
  options.name = record->name;
  actors::BoundProgram bound;
  bound.name = record->name;
  auto plan = std::make_shared<Plan>();
  bound.plain = [record, plan](Orchestrator& node) { *plan = node.record_gathered(std::move(*record)); };
  run_to_end(on.node, std::move(options), std::move(bound), recording->program);
  made.plan = *plan;
  return made;
}

void add_plans(py::module_& module) {
  py::class_<SlotOf>(
      module, "Slot",
      "A number that a plan takes anew with each replay.\n\n"
      "node.record(layer, x, troupe.Slot(0.1)) records `layer` with it; the program can only "
      "pass it on, as\n"
      "scalar(slot), so it cannot decide what it submits. Its type is that of scalar(x, type).")
      .def(py::init([](const py::object& value, const py::object& type) {
             return SlotOf{scalar_of(value, type)};
           }),
           py::arg("value"), py::arg("type") = py::none())
      .def_property_readonly(
          "type", [](const SlotOf& slot) { return std::string(runtime::name_of(slot.value.kind)); },
          "The type that every replay's number is taken as: \"f32\".")
      .def("__bool__",
           [](const SlotOf&) -> bool {
             throw bad_argument("a program that is recorded asks what a Slot is",
                                "a plan is the same whatever its numbers are: what decides is given as a "
                                "plain number");
           })
      .def("__repr__", [](const SlotOf& slot) {
        return "<troupe.Slot " + std::string(runtime::name_of(slot.value.kind)) + ">";
      });
  py::class_<SlotUse>(module, "_SlotArgument", "A Slot as an argument of a task.")
      .def("__repr__", [](const SlotUse&) { return "<troupe.scalar of a Slot>"; });
  py::class_<ParameterOf>(module, "PlanParameter", "What a replay of a plan is given in one place.")
      .def_readonly(
          "kind", &ParameterOf::kind,
          "\"tensor\"; \"slot\": a number that may be another one each time; \"number\": one that stays.")
      .def_readonly("dtype", &ParameterOf::dtype, "Of its elements, or of the number: \"float32\".")
      .def_readonly("shape", &ParameterOf::shape, "Of a tensor; None: a number.")
      .def_readonly("value", &ParameterOf::value, "The number that was recorded; None: a tensor.")
      .def_readonly("reads", &ParameterOf::reads, "Of a tensor: whether a task of the plan reads it.")
      .def_readonly("writes", &ParameterOf::writes, "Of a tensor: whether a task of the plan writes it.")
      .def("__repr__", [](const ParameterOf& of) {
        const auto what =
            of.shape.is_none() ? " " + utf8_of(py::repr(of.value)) : utf8_of(py::repr(of.shape));
        return "<troupe.PlanParameter " + of.kind + ", " + of.dtype + what + ">";
      });
  py::class_<PlanOf>(
      module, "Plan",
      "A program's tasks, recorded once, to be submitted again with other tensors and numbers.\n\n"
      "    plan = node.record(layer, x, y, troupe.Slot(0.1))\n"
      "    node.run(plan, x2, y2, 0.2)                  # a run of its own\n"
      "    node.submit(plan, in_(x2), out(y2), 0.2)     # in a program: a task of it\n\n"
      "Never changes, and keeps the tensors that it captured. Belongs to the node that recorded it.")
      .def_property_readonly(
          "name", [](const PlanOf& of) { return of.plan.name(); }, "As it was recorded under.")
      .def_property_readonly(
          "tasks", [](const PlanOf& of) { return of.plan.tasks(); }, "Tasks of the recorded program.")
      .def_property_readonly(
          "steps", [](const PlanOf& of) { return of.plan.steps(); },
          "What a replay submits for them: what runs on one chip is one.")
      .def_property_readonly(
          "bytes", [](const PlanOf& of) { return of.plan.bytes(); },
          "Memory of the plan itself, without the tensors that it keeps.")
      .def_property_readonly("parameters", &parameters_of,
                             "What a replay is given: a PlanParameter for each.")
      .def(
          "describe", [](const PlanOf& of) { return of.plan.describe(); },
          "Parameters, steps and what they depend on, in words: a line each.")
      .def(
          "save",
          [](const PlanOf& of, const py::object& path) {
            const auto file = path_of(path, "path");
            without_python([&] { of.plan.save(file); });
          },
          py::arg("path"),
          "Into a file, for node.load_plan of any process that has the same modules.\n\n"
          "Refused, naming the task, for a plan that keeps tensors, or has host functions or programs of "
          "Python.")
      .def("__repr__", [](const PlanOf& of) {
        const auto count = [](std::size_t n, const char* what) {
          return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
        };
        return "<troupe.Plan \"" + of.plan.name() + "\": " + count(of.plan.tasks(), "task") + " in " +
               count(of.plan.steps(), "step") + ">";
      });

  auto program = py::reinterpret_borrow<py::class_<Seat, SeatRef>>(module.attr("Orchestrator"));
  program.def(
      "record", &record_in, py::arg("program"), py::kw_only(), py::arg("name") = py::none(),
      "Runs a program once, as a part of this one, and keeps what it submits: a Plan. It may not wait "
      "or read.");
  auto node = py::reinterpret_borrow<py::class_<NodeOf>>(module.attr("Node"));
  node.def(
      "record",
      [](const NodeOf& on, const py::object& function, const py::args& args, const py::object& name) {
        return record_on(on, function, args, name);
      },
      py::arg("program"), py::kw_only(), py::arg("name") = py::none(),
      "Runs a program once, and keeps what it submits: a Plan, to be run again with other arguments.\n\n"
      "    plan = node.record(layer, x, y, troupe.Slot(0.1))\n"
      "    node.run(plan, x2, y2, 0.2)\n\n"
      "Tensors and arrays are parameters, a Slot is a number that may change, other numbers stay what they "
      "were. The\n"
      "program may not wait or read: a plan is the same whatever its tensors hold.");
  node.def("load_plan", &load_on, py::arg("path"),
           "A plan that plan.save(path) wrote, as one of this node; nothing runs.\n\n"
           "Its kernels are found by digest among those that the node knows: load their modules before.");
}

}  // namespace troupe::python

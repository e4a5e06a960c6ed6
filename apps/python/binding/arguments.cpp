#include "arguments.hpp"

#include <cmath>

namespace troupe::python {
namespace {

constexpr auto after_hint = "after=task, or after=[first, second]";

actors::Task awaited_task(py::handle object) {
  if (!py::isinstance<Wait>(object) || object.cast<const Wait&>().what != Wait::What::task)
    throw bad_argument("after is a task, or several in a list, and " + shown(object) + " is none",
                       after_hint);
  return object.cast<const Wait&>().task;
}

std::string say(const runtime::ScalarArg& scalar) {
  return "<troupe.scalar " + py::str(value_of(scalar)).cast<std::string>() + " " +
         std::string(runtime::name_of(scalar.kind)) + ">";
}

}  // namespace

bool truth_of(py::handle value, const std::string& what) {
  // Also what numpy made of one.
  const bool fits = PyBool_Check(value.ptr()) != 0 || PyLong_Check(value.ptr()) != 0 ||
                    utf8_of(py::str(py::type::handle_of(value).attr("__name__"))).starts_with("bool");
  if (!fits) throw bad_argument(what + " is True or False, and " + shown(value) + " is neither");
  return PyObject_IsTrue(value.ptr()) == 1;
}

std::chrono::nanoseconds duration_of(py::handle seconds, const char* what) {
  const double value = PyFloat_AsDouble(seconds.ptr());
  const auto refused = [&] {
    return bad_argument(std::string(what) + " is a number of seconds, and " + shown(seconds) + " is none",
                        "as in 0.5, or 60");
  };
  if (value == -1.0 && PyErr_Occurred() != nullptr) {
    if (PyErr_ExceptionMatches(PyExc_TypeError) == 0) throw py::error_already_set();
    PyErr_Clear();
    throw refused();
  }
  if (std::isnan(value)) throw refused();
  constexpr double most = 9.2e9;  // seconds; what is longer is for ever
  if (value > most) return std::chrono::nanoseconds::max();
  if (value < -most) return std::chrono::nanoseconds::min();
  return std::chrono::nanoseconds(static_cast<std::int64_t>(value * 1e9));
}

void add_arguments(actors::Args& args, std::span<PyObject* const> items) {
  for (const py::handle item : items) {
    if (const auto* use = tensor_use(item)) {
      args.add(*use);
    } else if (py::isinstance<runtime::ScalarArg>(item)) {
      args.add(item.cast<const runtime::ScalarArg&>());
    } else if (py::isinstance<SlotUse>(item)) {
      args.add(item.cast<const SlotUse&>());
    } else if (py::isinstance<actors::DomainContext>(item)) {
      args.add(item.cast<const actors::DomainContext&>());
    } else if (py::isinstance<actors::Tensor>(item) || PyObject_CheckBuffer(item.ptr()) != 0) {
      throw bad_argument("a tensor argument says what the task does with it",
                         "in_(x), out(x), inout(x), out_existing(x) or no_dep(x)");
    } else if (PyNumber_Check(item.ptr()) != 0) {
      throw bad_argument("a number argument is given as scalar(x)");
    } else {
      throw bad_argument(
          shown(item) + " is no argument of a task",
          "those are tensors with a tag, as in_(x), and scalar(x); options have names: on_chip=1");
    }
  }
}

void add_arguments(actors::Args& args, const py::tuple& items) {
  add_arguments(args, std::span(PySequence_Fast_ITEMS(items.ptr()), items.size()));
}

actors::Args args_of(const Member& member) {
  actors::Args args;
  add_arguments(args, member.items);
  args.home = member.home;
  return args;
}

void take_option(actors::detail::SubmitCall& call, const std::string& option, py::handle value) {
  if (value.is_none()) return;
  if (option == "on_chip") {
    call.take(actors::on_chip(integer_of<std::int64_t>(value, "on_chip")));
  } else if (option == "name") {
    call.take(actors::name(string_of(value, "name", "name=\"first\"")));
  } else if (option == "after") {
    if (py::isinstance<Wait>(value)) return call.take(actors::after(awaited_task(value)));
    for (const auto& one : items_of(value, "after", "a task, or several in a list", after_hint))
      call.take(actors::after(awaited_task(one)));
  } else if (option == "priority") {
    call.take(actors::priority(integer_of<std::int64_t>(value, "priority")));
  } else if (option == "deadline") {
    call.take(actors::Deadline{duration_of(value, "deadline")});
  } else if (option == "retry") {
    call.take(actors::retry(integer_of<std::int64_t>(value, "retry")));
  } else if (option == "idempotent") {
    if (truth_of(value, "idempotent")) call.take(actors::idempotent);
  } else if (option == "blocks") {
    call.take(runtime::blocks(integer_of<std::int64_t>(value, "blocks")));
  } else if (option == "config") {
    if (!py::isinstance<runtime::CallConfig>(value))
      throw bad_argument("config is a troupe.CallConfig, and " + shown(value) + " is none",
                         "config=troupe.CallConfig(block_dim=8)");
    call.take(value.cast<const runtime::CallConfig&>());
  } else {
    throw bad_argument(
        "a submit has no option \"" + option + "\"",
        "there are on_chip, name, after, priority, deadline, retry, idempotent, blocks and config");
  }
}

void take_options(actors::detail::SubmitCall& call, const py::kwargs& options) {
  for (const auto& [option, value] : options) take_option(call, option.cast<std::string>(), value);
}

void add_arguments(py::module_& module) {
  py::class_<runtime::ScalarArg>(module, "ScalarArgument",
                                 "A number that a task gets by value, with its type.")
      .def_property_readonly("value", &value_of, "As a Python number.")
      .def_property_readonly(
          "type", [](const runtime::ScalarArg& scalar) { return std::string(name_of(scalar.kind)); },
          "\"f32\", \"i64\", …")
      .def("__repr__", [](const runtime::ScalarArg& scalar) { return say(scalar); });
  py::class_<runtime::CallConfig>(module, "CallConfig",
                                  "How a chip runs a task: the part of the machine that it gets, and what is "
                                  "recorded. An option of a submit: config=troupe.CallConfig(block_dim=8).")
      .def(py::init([](std::int32_t blocks, std::int32_t threads, bool profiling, bool dump) {
             const runtime::CallConfig config{blocks, threads, profiling, dump};
             runtime::validate(config).value();
             return config;
           }),
           py::arg("block_dim") = 24, py::arg("aicpu_thread_num") = 3, py::arg("enable_profiling") = false,
           py::arg("enable_dump_tensor") = false)
      .def_readonly("block_dim", &runtime::CallConfig::block_dim, "Clusters to use.")
      .def_readonly("aicpu_thread_num", &runtime::CallConfig::aicpu_thread_num, "On-chip scheduler threads.")
      .def_readonly("enable_profiling", &runtime::CallConfig::enable_profiling,
                    "Record when each kernel was dispatched, started and ended.")
      .def_readonly("enable_dump_tensor", &runtime::CallConfig::enable_dump_tensor,
                    "Record the contents of tensors before and after each kernel.")
      .def("__repr__", [](const runtime::CallConfig& config) {
        return "<troupe.CallConfig of " + std::to_string(config.block_dim) + " clusters>";
      });
  py::class_<Member>(module, "Args", "The arguments of one member of a group.")
      .def_readwrite("chip", &Member::home, "The chip that it runs on; -1: any.")
      .def("__repr__",
           [](const Member& member) { return "<troupe.Args " + utf8_of(py::repr(member.items)) + ">"; });

  module.def(
      "scalar",
      [](const py::object& value, const py::object& type) -> py::object {
        if (!py::isinstance<SlotOf>(value)) return py::cast(scalar_of(value, type));
        const auto& slot = value.cast<const SlotOf&>();
        if (!type.is_none()) throw bad_argument("a Slot has its type already", "troupe.Slot(x, type)");
        return py::cast(SlotUse{slot.value, slot.number});
      },
      py::arg("value"), py::arg("type") = py::none(),
      "A number as an argument, by value.\n\n"
      "A float is a float32, the type that kernels compute with, unless `type` says \"float64\"; an "
      "int may be\n"
      "read as any integer type that holds it; a numpy scalar keeps its type.");
  module.def(
      "args", [](const py::args& items) { return Member{items}; },
      "The arguments of one member of a group: args(in_(x), scalar(2.0)).");
}

}  // namespace troupe::python

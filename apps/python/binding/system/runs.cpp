// Nodes, their chips, and runs.
#include "plans.hpp"

#include <fstream>

namespace troupe::python {
namespace {

using actors::Node;

/// A chip by itself.
struct ChipOf {
  actors::ChipDevice chip;
  Node node;
};

actors::RunOptions options_of(const py::kwargs& given, std::string name) {
  actors::RunOptions options;
  options.name = std::move(name);
  for (const auto& [key, value] : given) {
    const auto option = key.cast<std::string>();
    if (value.is_none()) continue;
    if (option == "name") {
      options.name = string_of(value, "name", "name=\"nightly\"");
    } else if (option == "priority") {
      options.priority = integer_of<int>(value, "priority");
    } else if (option == "deadline") {
      options.deadline = duration_of(value, "deadline");
    } else if (option == "stop") {
      if (!py::isinstance<StopOf>(value))
        throw bad_argument("stop is a troupe.Stop, and " + shown(value) + " is none",
                           "stop = troupe.Stop(); stop.request() ends the runs that were given it");
      options.stop = value.cast<const StopOf&>().source.get_token();
    } else {
      throw bad_argument(
          "a run has no option \"" + option + "\"",
          "there are name, priority, deadline and stop; arguments of the program are given by position");
    }
  }
  return options;
}

actors::Args args_of(const py::tuple& items) {
  actors::Args args;
  add_arguments(args, items);
  return args;
}

std::shared_ptr<PythonProgram> program_of(const py::object& function, const py::tuple& args,
                                          const std::string& name, std::int64_t soft_limit) {
  return std::make_shared<PythonProgram>(function, args, name, soft_limit);
}

RunOf start(const NodeOf& on, const py::object& program, const py::args& args, const py::kwargs& given) {
  RunOf run;
  run.simulated = on.simulated;
  if (py::isinstance<py::str>(program)) {
    auto options = options_of(given, "program");
    const auto name = string_of(program, "the name of a program");
    const auto values = args_of(args);
    run.handle = without_python([&] { return on.node.submit(name, values, std::move(options)); });
    return run;
  }
  if (py::isinstance<PlanOf>(program)) {
    const auto& plan = program.cast<const PlanOf&>();
    py::kwargs others(py::dict(given.attr("copy")()));
    auto bound = bind_plan(plan, args, others);
    auto options = options_of(others, plan.plan.name());
    run.handle = without_python([&] { return on.node.submit_bound(std::move(options), std::move(bound)); });
    return run;
  }
  auto options = options_of(given, name_of(program));
  run.program = program_of(program, args, options.name, on.soft_limit);
  run.program->stay_in(context_here());
  run.handle = without_python([&] { return on.node.submit_bound(std::move(options), run.program->bind()); });
  return run;
}

void add_file_kernel(const NodeOf& on, const std::string& name, const py::object& object,
                     const std::string& cores) {
  if (cores != "vector" && cores != "matrix")
    throw bad_argument("cores \"" + cores + "\"", "say vector or matrix");
  std::vector<std::uint8_t> bytes;
  if (py::isinstance<py::bytes>(object)) {
    const auto text = object.cast<std::string_view>();
    bytes.assign(text.begin(), text.end());
  } else {
    const auto path = path_of(object, "object");
    std::ifstream file(path, std::ios::binary);
    if (!file) throw bad_argument("cannot read \"" + path + "\"");
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  }
  const auto kind = cores == "vector" ? actors::CoreKind::vector : actors::CoreKind::matrix;
  without_python([&] { on.node.add_kernel(name, std::move(bytes), kind); });
}

void add_chip(py::module_& module) {
  py::class_<ChipOf>(module, "Chip",
                     "Direct use of one chip, without a graph; not ordered with runs in flight.")
      .def_property_readonly(
          "index", [](const ChipOf& of) { return of.chip.index(); }, "Its number on the node.")
      .def(
          "malloc",
          [](const ChipOf& of, const py::object& shape, const py::object& dtype) {
            const auto extents = shape_of(shape);
            const auto type = dtype_of(dtype);
            return without_python([&] { return of.chip.malloc(extents, type); });
          },
          py::arg("shape"), py::arg("dtype") = "float32", "Device memory, freed with the last tensor of it.")
      .def(
          "copy_to",
          [](const ChipOf& of, const py::object& device, const py::object& host) {
            const auto to = tensor_of(device, true), from = tensor_of(host, false);
            without_python([&] { of.chip.copy_to(to, from); });
          },
          py::arg("device"), py::arg("host"), "From a host tensor or array into device memory.")
      .def(
          "copy_from",
          [](const ChipOf& of, const py::object& host, const py::object& device) {
            const auto to = tensor_of(host, true), from = tensor_of(device, false);
            without_python([&] { of.chip.copy_from(to, from); });
          },
          py::arg("host"), py::arg("device"), "From device memory into a host tensor or array.")
      .def(
          "reset", [](const ChipOf& of) { without_python([&] { of.chip.reset(); }); },
          "Gives up everything on the chip and brings it up again.")
      .def(
          "run",
          [](const ChipOf& of, const std::string& name, const py::args& items, const py::kwargs& options) {
            actors::detail::SubmitCall call;
            add_arguments(call.args, items);
            take_options(call, options);
            if (call.target)
              throw bad_argument("a chip runs it itself: submit it to a program where it is to go elsewhere");
            call.take(actors::on_chip(of.chip.index()));
            actors::BoundProgram one;
            one.name = name;
            one.plain = [&](actors::Orchestrator& node) {
              node.submit_gathered(node.callable(name), std::move(call));
            };
            without_python([&] { of.node.run_bound({}, std::move(one)); });
          },
          py::arg("callable"), "One task on this chip: arguments and options are those of a submit.")
      .def("__repr__",
           [](const ChipOf& of) { return "<troupe.Chip " + std::to_string(of.chip.index()) + ">"; });
}

int add_chip_to(const NodeOf& on, const std::string& platform, std::int64_t device, std::int64_t credit,
                const py::object& abort_grace, const py::object& options, bool own_process) {
  actors::ChipConfig chip;
  chip.platform = platform;
  chip.device_id = device;
  chip.credit = credit;
  chip.abort_grace = duration_of(abort_grace, "abort_grace");
  chip.own_process = own_process;
  chip.options = device_options(options);
  return without_python([&] { return on.node.add_executor(chip); });
}

void add_node(py::module_& module) {
  py::class_<NodeOf>(module, "Node",
                     "A node of chips, or a pod of nodes. Safe on any thread.\n\n"
                     "load() modules or add kernels and functions, then run() programs.")
      .def(
          "load",
          [](const NodeOf& on, const py::object& path) {
            const auto file = path_of(path, "path");
            without_python([&] { on.node.load(file); });
          },
          py::arg("path"), "Everything in a module file can be submitted by name.")
      .def("add_kernel", &add_file_kernel, py::arg("name"), py::arg("object"), py::arg("cores") = "vector",
           "A kernel from a foreign object with one kernel_entry: its bytes, or its path.")
      .def(
          "add_function",
          [](const NodeOf& on, const std::string& name, py::object function) {
            auto host = host_function(std::move(function));
            without_python([&] { on.node.add_function(name, std::move(host)); });
          },
          py::arg("name"), py::arg("function"), "A host function that programs submit by name.")
      .def(
          "run",
          [](const NodeOf& on, const py::object& program, const py::args& args, const py::kwargs& options) {
            return run(on.node, on.soft_limit, program, args, options);
          },
          py::arg("program"),
          "Runs a program to its end: node.run(function, its arguments…, name=…, priority=…, deadline=…, "
          "stop=…).\n\n"
          "name      what errors and traces call the run\n"
          "priority  higher goes first among runs that wait\n"
          "deadline  seconds from now, after which it is given up\n"
          "stop      a troupe.Stop: the run ends with `cancelled` when any thread asks it to\n\n"
          "The program is a function, or an async def function, called with (node, its arguments); or the "
          "name of one in\n"
          "a loaded module. Returns what it returned. Raises Error when the run failed; what a program "
          "raised is behind\n"
          "it as __cause__.")
      .def(
          "submit", &start, py::arg("program"),
          "Starts a program and returns a Handle, also when it has to wait for others: handle.result() waits "
          "for it.\n\n"
          "Programs, arguments and options are those of run().")
      .def(
          "tensor",
          [](const NodeOf& on, const py::object& shape, const py::object& dtype, const py::object& fill) {
            const auto extents = shape_of(shape);
            const auto type = dtype_of(dtype);
            return new_tensor(extents, type, fill, [&] { return on.node.host_tensor(extents, type); });
          },
          py::arg("shape"), py::arg("dtype") = "float32", py::arg("fill") = py::none(),
          "A tensor in host memory, zeroed or filled.")
      .def(
          "chip",
          [](const NodeOf& on, std::int64_t index) {
            return without_python([&] { return ChipOf{on.node.chip(index), on.node}; });
          },
          py::arg("index"), "Direct use of a chip.")
      .def_property_readonly(
          "chips", [](const NodeOf& on) { return on.node.chips(); },
          "How many chips (at a pod: nodes) there are now.")
      .def_property_readonly(
          "name", [](const NodeOf& on) { return on.node.name(); }, "\"node0\", \"pod0\".")
      .def_property_readonly("_simulated", [](const NodeOf& on) { return on.simulated; })
      .def("add_chip", &add_chip_to, py::arg("platform") = "a2a3sim", py::arg("device") = 0, py::kw_only(),
           py::arg("credit") = 64, py::arg("abort_grace") = 2.0, py::arg("device_options") = py::dict(),
           py::arg("own_process") = false,
           "Adds a chip while programs run; its number. `device` is the platform's.")
      .def(
          "add_sub_worker",
          [](const NodeOf& on, const py::object& abort_grace) {
            actors::SubWorkerConfig config;
            config.abort_grace = duration_of(abort_grace, "abort_grace");
            return without_python([&] { return on.node.add_executor(config); });
          },
          py::arg("abort_grace") = 2.0, "Adds a thread for host functions while programs run; its number.")
      .def(
          "add_node",
          [](NodeOf& on, const py::kwargs& options) {
            const auto config = node_config({}, options);
            on.soft_limit = std::min<std::int64_t>(on.soft_limit, config.soft_limit);
            return without_python([&] { return on.node.add_executor(actors::to_worker(config)); });
          },
          "Adds a node to a pod, with the options of a node; its number.")
      .def(
          "remove_executor",
          [](const NodeOf& on, std::int64_t index) {
            without_python([&] { on.node.remove_executor(index); });
          },
          py::arg("index"), "Removes a chip or sub-worker, after its last task.")
      .def(
          "status", [](const NodeOf& on) { return without_python([&] { return on.node.status(); }); },
          "What the node and its chips are doing now.")
      .def("__repr__", [](const NodeOf& on) { return "<troupe.Node " + on.node.name() + ">"; });
}

}  // namespace

/// Raises what a run ended with.
[[noreturn]] void raise_end(const Error& error, const std::shared_ptr<PythonProgram>& program) {
  const auto raised = program ? program->raised() : py::object();
  if (!raised) raise(error);
  // What the program raised to end like this; an error of troupe's, or Ctrl-C, is itself.
  const bool itself = py::hasattr(raised, "_native") || !py::isinstance(raised, py::handle(PyExc_Exception));
  if (!itself) raise(error, raised);
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(raised.ptr())), raised.ptr());
  throw py::error_already_set();
}

namespace {

/// Waits for `work` outside of Python, on which Ctrl-C ends.
template <class Work>
void wait_for_run(actors::RunOptions& options, const std::shared_ptr<PythonProgram>& program, Work work) {
  std::optional<Error> error;
  {
    SignalWatch watch(SignalWatch::On::ctrl_c, SignalWatch::From::later);
    if (PyErr_CheckSignals() != 0) throw py::error_already_set();  // one that came before anybody listened
    const std::stop_callback asked(options.stop, [&watch] { watch.request(); });
    if (is_main_thread()) {
      options.stop = watch.token();
      options.before_waiting = [&watch] { watch.about_to_wait(); };
    }
    try {
      without_python(work);
    } catch (const Error& failed) {
      error = failed;
    }
    watch.raise_raised();
  }
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  if (error) raise_end(*error, program);
}

}  // namespace

void run_to_end(const Node& node, actors::RunOptions options, actors::BoundProgram bound,
                const std::shared_ptr<PythonProgram>& program) {
  wait_for_run(options, program, [&] { node.run_bound(std::move(options), std::move(bound)); });
}

py::object run(const Node& node, std::int64_t soft_limit, const py::object& program, const py::tuple& args,
               const py::kwargs& given) {
  const bool function = PyFunction_Check(program.ptr()) != 0;  // most are
  if (!function && py::isinstance<py::str>(program)) {
    auto options = options_of(given, "program");
    const auto values = args_of(args);
    const auto name = string_of(program, "the name of a program");
    wait_for_run(options, nullptr, [&] { node.run(name, values, std::move(options)); });
    return py::none();
  }
  if (!function && py::isinstance<PlanOf>(program)) {
    const auto& plan = program.cast<const PlanOf&>();
    py::kwargs others(py::dict(given.attr("copy")()));
    auto bound = bind_plan(plan, args, others);
    run_to_end(node, options_of(others, plan.plan.name()), std::move(bound), nullptr);
    return py::none();
  }
  auto options = options_of(given, name_of(program));
  const auto python = program_of(program, args, options.name, soft_limit);
  run_to_end(node, std::move(options), python->bind(), python);
  return python->returned();
}

void add_runs(py::module_& module) {
  add_chip(module);
  add_handles(module);
  add_node(module);
}

}  // namespace troupe::python

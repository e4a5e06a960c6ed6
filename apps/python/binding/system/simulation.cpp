// The test kit: a node or pod on one thread, with kernels in Python, faults, a virtual clock, and a seed.
#include "system/machine.hpp"
#include "system/records.hpp"
#include "troupe/testing.hpp"

namespace troupe::python {
namespace {

using testing::Fault;
using testing::Simulation;

/// Tensor `index` of a call, which does not tell what its elements are until it is asked for the right ones.
template <class T, class... Others>
Elements elements_of(const testing::ScriptedCall& call, std::size_t index) {
  try {
    const auto view = call.tensor<T>(index);
    auto elements = Elements::dense(view.data(), runtime::dtype_of<T>, runtime::Shape());
    elements.bits = elements.dtype == runtime::DType::bf16;
    for (std::size_t dim = 0; dim < view.dims(); ++dim) {
      elements.shape.push_back(static_cast<py::ssize_t>(view.extent(dim)));
      elements.strides.push_back(static_cast<py::ssize_t>(view.stride(dim) * sizeof(T)));
    }
    return elements;
  } catch (const Error&) {
    if constexpr (sizeof...(Others) == 0) {
      throw;
    } else {
      return elements_of<Others...>(call, index);
    }
  }
}

platform::ScriptedKernel scripted(const std::string& name, py::object function) {
  if (PyCallable_Check(function.ptr()) == 0)
    throw bad_argument("kernel \"" + name + "\" is a function, and " + shown(function) + " is none",
                       "kernel(\"step\", lambda x: x.__iadd__(1))");
  if (is_coroutine_function(function) || is_generator_function(function))
    throw bad_argument("kernel \"" + name + "\" is called: it is no async def function, and has no yield");
  return [name, kept = Kept(std::move(function))](testing::ScriptedCall& call) {
    const WithPython inside;
    if (!inside) throw Error(actors::Errc::shut_down, "Python is ending");
    const UserCode here;
    try {
      py::tuple given(call.tensor_count() + call.scalar_count());
      std::size_t at = 0;
      for (std::size_t i = 0; i < call.tensor_count(); ++i) {
        given[at] = array_of(elements_of<float, double, std::int32_t, std::uint8_t, std::int64_t,
                                         runtime::Float16, runtime::BFloat16, std::int8_t, std::int16_t,
                                         std::uint16_t, std::uint32_t, std::uint64_t, bool>(call, i));
        ++at;
      }
      for (std::size_t i = 0; i < call.scalar_count(); ++i) {
        given[at] = scalar_of_call(call, i);
        ++at;
      }
      const auto result = py::reinterpret_steal<py::object>(call_python(kept.get().ptr(), given.ptr()));
      if (!result) throw py::error_already_set();
      if (py::isinstance<py::float_>(result) || py::isinstance<py::int_>(result)) {
        const auto busy = duration_of(result, "the time that a kernel takes");
        if (busy.count() > 0) call.takes(static_cast<std::uint64_t>(busy.count()));
      }
    } catch (py::error_already_set& raised) {
      throw error_from(raised, "kernel \"" + name + "\"");
    }
  };
}

/// Keeps a simulation, and ends it outside of Python.
class Kit {
 public:
  explicit Kit(testing::SimulationOptions options)
      : simulation_(without_python([&] { return std::make_unique<Simulation>(std::move(options)); })) {}
  Kit(const Kit&) = delete;
  Kit& operator=(const Kit&) = delete;
  ~Kit() { close(); }
  void close() {
    if (!simulation_) return;
    without_python([&] { simulation_.reset(); });
  }
  Simulation& use() const {
    if (!simulation_) throw Error(actors::Errc::shut_down, "the simulation has been closed");
    return *simulation_;
  }

 private:
  std::unique_ptr<Simulation> simulation_;
};

/// Log lines for a function of Python's: all of it happens on this thread.
actors::LogSink lines_for(py::object function) {
  return [kept = Kept(std::move(function))](int level, std::string_view path, std::string_view text) {
    const WithPython inside;
    if (!inside) return;
    const UserCode here;
    const auto given = py::make_tuple(level, std::string(path), std::string(text));
    const auto result = py::reinterpret_steal<py::object>(call_python(kept.get().ptr(), given.ptr()));
    if (!result) PyErr_WriteUnraisable(kept.get().ptr());
  };
}

std::unique_ptr<Kit> new_kit(std::uint64_t seed, std::int64_t chips, std::int64_t nodes,
                             std::int64_t sub_workers, std::int64_t credit, std::int64_t soft_limit,
                             std::int64_t hard_limit, std::int64_t restarts, std::uint64_t arena_bytes,
                             bool recover, const py::object& bootstrap, const py::object& log,
                             const py::object& trace, const py::object& placement, const py::object& models) {
  testing::SimulationOptions options;
  options.seed = seed;
  options.chips = chips;
  options.nodes = nodes;
  options.sub_workers = sub_workers;
  options.credit = credit;
  options.soft_limit = soft_limit;
  options.hard_limit = hard_limit;
  options.restart.restarts = restarts;
  options.arena_bytes = arena_bytes;
  options.recover = recover;
  for (const auto& one : items_of(bootstrap, "chip_bootstrap_configs", "a list with a dict for each chip"))
    options.chip_bootstrap_configs.push_back(bootstrap_config(one));
  options.placement = policy_of(placement);
  if (!models.is_none()) options.models = path_of(models, "models");
  if (!trace.is_none()) {
    if (!py::isinstance<TraceOf>(trace))
      throw bad_argument("trace is a troupe.Trace, and " + shown(trace) + " is none", "trace=troupe.Trace()");
    options.trace = trace.cast<const TraceOf&>().sink;
  }
  if (!log.is_none()) {
    if (PyCallable_Check(log.ptr()) == 0)
      throw bad_argument("log is a function of (level, path, text), and " + shown(log) + " is none");
    options.log = lines_for(log);
  }
  return std::make_unique<Kit>(std::move(options));
}

void add_faults(py::module_& module) {
  py::class_<Fault>(module, "Fault",
                    "Something that goes wrong, as a value: fail(\"step\").on_chip(0).at(2).times(3).")
      .def("on_chip", &Fault::on_chip, py::arg("chip"), "On this chip only.")
      .def("of", &Fault::of, py::arg("kernel"), "Of this kernel only.")
      .def("at", &Fault::at, py::arg("k"), "At the k-th task that it fits, from 1.")
      .def("times", &Fault::times, py::arg("n"), "So many times in a row.")
      .def(
          "by", [](Fault& fault, const py::object& seconds) { return fault.by(duration_of(seconds, "by")); },
          py::arg("seconds"), "How much later the task ends, for delay().")
      .def("call", &Fault::call, py::arg("function"), "Which call of the device ABI, for fail_call().")
      .def("__repr__",
           [](const Fault& fault) {
             const auto& value = fault.value();
             auto text = "<troupe.testing.Fault at task " + std::to_string(value.at);
             if (!value.callable.empty()) text += " of \"" + value.callable + "\"";
             if (value.device >= 0) text += " on chip " + std::to_string(value.device);
             return text + ">";
           })
      .def("with_text", &Fault::with, py::arg("text"), "What the error says.");
  module.def("fail", &testing::fail, py::arg("kernel") = "", "The task fails.");
  module.def("kill_chip", &testing::kill_chip, py::arg("chip"),
             "The chip dies as the task starts; it is restarted.");
  module.def(
      "delay", [](const py::object& by) { return testing::delay(duration_of(by, "by")); }, py::arg("by"),
      "The task ends so many seconds later.");
  module.def("drop", &testing::drop, py::arg("kernel") = "", "The task's end is never heard of.");
  module.def("hang", &testing::hang, py::arg("kernel") = "", "The kernel does not return.");
  module.def("fail_call", &testing::fail_call, py::arg("call"), py::arg("chip") = -1,
             "A call of the device ABI fails.");
}

}  // namespace

void add_simulation(py::module_& parent) {
  auto module = parent.def_submodule("_testing");
  py::class_<testing::Ran>(module, "Ran", "One task that ran on a chip of a simulation.")
      .def_readonly("chip", &testing::Ran::chip, "Its number; chips of a pod's nodes count on.")
      .def_readonly("kernel", &testing::Ran::kernel, "Its name.")
      .def_readonly("code", &testing::Ran::code, "0: it ended well.")
      .def("__repr__", [](const testing::Ran& ran) {
        return "<troupe.testing.Ran \"" + ran.kernel + "\" on chip " + std::to_string(ran.chip) +
               (ran.code == 0 ? ">" : ", failed>");
      });
  module.def(
      "kill", [](const NodeOf& on, int chip) { without_python([&] { testing::kill(on.node, chip); }); },
      py::arg("node"), py::arg("chip"),
      "Kills the actor of a node's chip at once, as a bug in it would; on any system. It is restarted.");
  add_faults(module);
  py::class_<Kit>(
      module, "Simulation",
      "A node (or a pod of `nodes`) on this thread, with kernels in Python and a virtual clock.\n\n"
      "The seed decides the interleaving: same seed, same history. A call that waits steps it.\n\n"
      "Options: seed, chips (of each node), nodes (0: no pod), sub_workers, credit, soft_limit, hard_limit, "
      "restarts,\n"
      "arena_bytes, recover, placement, models, chip_bootstrap_configs, log (a function of level, path, "
      "text), trace (a\n"
      "troupe.Trace, in virtual time).")
      .def(py::init(&new_kit), py::kw_only(), py::arg("seed") = 0, py::arg("chips") = 2, py::arg("nodes") = 0,
           py::arg("sub_workers") = 1, py::arg("credit") = 64, py::arg("soft_limit") = 8192,
           py::arg("hard_limit") = 65536, py::arg("restarts") = 5, py::arg("arena_bytes") = 1 << 20,
           py::arg("recover") = true, py::arg("chip_bootstrap_configs") = py::list(),
           py::arg("log") = py::none(), py::arg("trace") = py::none(), py::arg("placement") = py::none(),
           py::arg("models") = py::none())
      .def(
          "kernel",
          [](py::object self, const std::string& name, py::object function) {
            self.cast<Kit&>().use().kernel(name, scripted(name, std::move(function)));
            return self;
          },
          py::arg("name"), py::arg("function"),
          "Defines a kernel: called with the tensors as arrays, then the scalars. A number that it returns "
          "is how long the\n"
          "task takes, in seconds of the virtual clock.")
      .def(
          "fault",
          [](py::object self, const Fault& fault) {
            self.cast<Kit&>().use().fault(fault);
            return self;
          },
          py::arg("fault"), "Something that is to go wrong. Define kernels first.")
      .def_property_readonly(
          "node",
          [](const Kit& kit) {
            auto& simulation = kit.use();
            return NodeOf{without_python([&] { return simulation.node(); }), 600, true};
          },
          py::keep_alive<0, 1>(), "The node (or pod) under test.")
      .def(
          "step",
          [](const Kit& kit) {
            auto& sim = kit.use();
            return without_python([&] { return sim.step(); });
          },
          "One step; False: nothing is runnable and no timer is set.")
      .def(
          "steps",
          [](const Kit& kit, std::size_t most) {
            auto& sim = kit.use();
            return without_python([&] { return sim.steps(most); });
          },
          py::arg("most"), "Up to so many steps, without jumping the clock; how many were made.")
      .def(
          "advance",
          [](const Kit& kit, const py::object& seconds) {
            auto& sim = kit.use();
            const auto time = duration_of(seconds, "seconds");
            without_python([&] { sim.advance(time); });
          },
          py::arg("seconds"), "Lets virtual time pass, and runs what falls due.")
      .def_property_readonly(
          "now", [](const Kit& kit) { return std::chrono::duration<double>(kit.use().now()).count(); },
          "The virtual clock, in seconds.")
      .def(
          "kill",
          [](const Kit& kit, int chip) {
            auto& sim = kit.use();
            without_python([&] { sim.kill(chip); });
          },
          py::arg("chip"), "Kills the chip's actor, as a bug in it would.")
      .def(
          "ran_on", [](const Kit& kit, int chip) { return kit.use().ran_on(chip); }, py::arg("chip"),
          "How many tasks the chip finished well.")
      .def(
          "ran",
          [](const Kit& kit, const py::object& kernel) -> py::object {
            if (kernel.is_none()) return py::cast(kit.use().ran());
            return py::cast(kit.use().ran(string_of(kernel, "kernel")));
          },
          py::arg("kernel") = py::none(),
          "How often the kernel finished well; without one, every attempt in the order of ending: a list of "
          "Ran.")
      .def(
          "tried", [](const Kit& kit, const std::string& kernel) { return kit.use().tried(kernel); },
          py::arg("kernel"), "How often the kernel was started.")
      .def(
          "order", [](const Kit& kit) { return kit.use().order(); },
          "Kernels in the order in which they ended: \"a b b c\".")
      .def(
          "sweep_quarantine",
          [](const Kit& kit) {
            auto& sim = kit.use();
            return without_python([&] { return sim.sweep_quarantine(); });
          },
          "Chips whose kernel did not return when they were closed, tried again; how many are left.")
      .def(
          "actors", [](const Kit& kit) { return kit.use().actors(); }, "Actors that are alive.")
      .def(
          "replay", [](const Kit& kit) { return kit.use().replay(); },
          "What a message about a failed case should say.")
      .def("close", &Kit::close, "Ends it, and what runs in it.")
      .def("__enter__", [](py::object self) { return self; })
      .def("__exit__", [](Kit& kit, const py::args&) { kit.close(); });
}

}  // namespace troupe::python

// What a program in Python sees of its node.
#include "machine.hpp"

namespace troupe::python {
namespace {

using actors::Orchestrator;
using actors::Tensor;

/// A scope of a program, for `with`.
struct Scope {
  SeatRef seat;
  std::optional<actors::Scope> open;
};

Wait task_of(const SeatRef& seat, actors::Task task) { return {Wait::What::task, seat, std::move(task)}; }

Wait submit_named(const SeatRef& seat, const Named& named, const py::tuple& items, const py::kwargs& options,
                  bool functions_only) {
  auto& node = seat->use();
  auto call = node.new_call(items.size());
  add_arguments(call.args, items);
  take_options(call, options);
  if (named.own) call.more().owned = named.own;
  return task_of(seat, seat->call([&](Orchestrator& program) {
    const auto& callable = named.own ? *named.own : program.callable(named.name);
    if (functions_only && callable.kind != actors::CallableKind::function)
      throw bad_argument("submit_sub of \"" + callable.name + "\", which is no host function",
                         "submit is for it");
    return program.submit_gathered(callable, std::move(call));
  }));
}

Wait submit(const SeatRef& seat, const py::object& callable, const py::args& items,
            const py::kwargs& options) {
  return submit_named(seat, callable_of(callable, items, seat->soft_limit()), items, options, false);
}

Wait submit_sub(const SeatRef& seat, const py::object& function, const py::args& items,
                const py::kwargs& options) {
  return submit_named(seat, function_of(function), items, options, true);
}

Wait submit_group(const SeatRef& seat, const py::object& callable, const py::object& members,
                  const py::object& chips, const py::kwargs& options) {
  std::vector<actors::Args> all;
  for (const auto member : members) {
    if (!py::isinstance<Member>(member))
      throw bad_argument("the members of a group are args(…), one for each chip");
    all.push_back(args_of(member.cast<const Member&>()));
  }
  std::vector<int> where;
  if (!chips.is_none()) where = chips.cast<std::vector<int>>();
  actors::detail::SubmitCall call;
  take_options(call, options);
  const auto named = callable_of(callable, py::tuple(), seat->soft_limit());
  if (named.own) call.more().owned = named.own;
  return task_of(seat, seat->call([&](Orchestrator& program) {
    return program.submit_gathered(named.own ? *named.own : program.callable(named.name), std::move(all),
                                   std::move(where), std::move(call));
  }));
}

Wait data_task(const SeatRef& seat, actors::DataTask what, std::initializer_list<actors::TensorUse> uses,
               const runtime::ScalarArg* value, const py::object& chip, const py::kwargs& options) {
  actors::detail::SubmitCall call;
  for (const auto& use : uses) call.args.add(use);
  if (value != nullptr) call.args.add(*value);
  take_options(call, options);
  if (!chip.is_none()) call.take(actors::on_chip(chip.cast<std::int64_t>()));
  return task_of(seat,
                 seat->call([&](Orchestrator& node) { return node.submit_gathered(what, std::move(call)); }));
}

Wait fill(const SeatRef& seat, const py::object& given, const py::object& value, const py::kwargs& options) {
  const auto tensor = tensor_of(given, true);
  const auto scalar = scalar_of(value, py::str(long_name(tensor.dtype())));
  return data_task(seat, actors::DataTask::fill, {actors::out(tensor)}, &scalar, py::none(), options);
}

Wait copy(const SeatRef& seat, const py::object& to, const py::object& from, const py::kwargs& options) {
  const auto target = tensor_of(to, true), source = tensor_of(from, false);
  return data_task(seat, actors::DataTask::copy, {actors::in(source), actors::out(target)}, nullptr,
                   py::none(), options);
}

Wait wait_for(Wait::What what, const SeatRef& seat, const py::object& tensor = {}) {
  Wait wait{what, seat};
  if (tensor) wait.tensor = tensor_of(tensor, false);
  (void)seat->use();
  return wait;
}

void add_submits(py::class_<Seat, SeatRef>& program) {
  program
      .def("submit", &submit, py::arg("callable"),
           "Submits a task: node.submit(\"vector_add\", in_(a), in_(b), out(c), on_chip=1).\n\n"
           "The callable is a name, a kernel, a host function, or at a pod a program. Arguments are tensors "
           "(or arrays)\n"
           "with a tag, in_ out inout out_existing no_dep, and scalar(x). Options, by name: on_chip, name, "
           "after,\n"
           "priority, deadline (seconds), retry, idempotent, blocks. Tasks behave as if they ran one after "
           "the other, in\n"
           "the order of their submits. Returns something to wait for: `await task`, or task.wait() in a "
           "plain program.\n"
           "Raises Error at once for a task that can never run.")
      .def("submit_sub", &submit_sub, py::arg("function"),
           "Submits a host function, by name or as a function: called with the tensors as arrays, then the "
           "scalars.")
      .def("submit_group", &submit_group, py::arg("callable"), py::arg("members"),
           py::arg("chips") = py::none(),
           "ONE task with a member on each of several chips, started all or none: members is a list of "
           "args(…).")
      .def("copy", &copy, py::arg("to"), py::arg("source"), "The elements of one tensor into another.")
      .def("fill", &fill, py::arg("tensor"), py::arg("value"), "Every element becomes the value.")
      .def(
          "prefetch",
          [](const SeatRef& seat, const py::object& tensor, const py::object& chip,
             const py::kwargs& options) {
            return data_task(seat, actors::DataTask::prefetch, {actors::in(tensor_of(tensor, false))},
                             nullptr, chip, options);
          },
          py::arg("tensor"), py::arg("on_chip"), "Brings the bytes to a chip before they are needed there.")
      .def(
          "pin",
          [](const SeatRef& seat, const py::object& tensor, const py::object& chip,
             const py::kwargs& options) {
            return data_task(seat, actors::DataTask::pin, {actors::in(tensor_of(tensor, false))}, nullptr,
                             chip, options);
          },
          py::arg("tensor"), py::arg("on_chip"),
          "The same, and there they stay until somebody writes them elsewhere.")
      .def(
          "evict",
          [](const SeatRef& seat, const py::object& tensor, const py::kwargs& options) {
            return data_task(seat, actors::DataTask::evict, {actors::in(tensor_of(tensor, false))}, nullptr,
                             py::none(), options);
          },
          py::arg("tensor"), "Brings the bytes to host memory, and frees what chips have of them.");
}

void add_waiting(py::class_<Seat, SeatRef>& program) {
  program
      .def(
          "read",
          [](const SeatRef& seat, const py::object& tensor) {
            return wait_for(Wait::What::read, seat, tensor);
          },
          py::arg("tensor"), "The first element, when its writers are done: `await node.read(x)`, or .get().")
      .def(
          "read_all",
          [](const SeatRef& seat, const py::object& tensor) {
            return wait_for(Wait::What::read_all, seat, tensor);
          },
          py::arg("tensor"), "All elements, as an array of their own: `await node.read_all(x)`, or .get().")
      .def(
          "fetch",
          [](const SeatRef& seat, const py::object& tensor) {
            return wait_for(Wait::What::fetch, seat, tensor);
          },
          py::arg("tensor"),
          "Its newest bytes come to host memory: behind `await node.fetch(x)`, x.numpy() does not wait.")
      .def(
          "drained", [](const SeatRef& seat) { return wait_for(Wait::What::drained, seat); },
          "Everything submitted so far has ended: `await node.drained()`.")
      .def(
          "room", [](const SeatRef& seat) { return wait_for(Wait::What::room, seat); },
          "There is room for more tasks: `await node.room()` in loops that submit many.")
      .def(
          "drain", [](const SeatRef& seat) { wait_here(wait_for(Wait::What::drained, seat)); },
          "Waits, in a plain program, until everything submitted so far has ended.")
      .def(
          "flush", [](const SeatRef& seat) { seat->call([](Orchestrator& node) { node.flush(); }); },
          "Sends what was submitted now; for plain programs that compute for long between submits.");
}

}  // namespace

runtime::Tensor filled(const Tensor& tensor, const py::object& value) {
  const auto scalar = scalar_of(value, py::str(long_name(tensor.dtype())));
  with_element(tensor.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto fill = runtime::from_u64<T>(scalar.word);
    for (auto& element : tensor.host<T>()) element = fill;
  });
  return tensor.description();
}

void add_orchestrator(py::module_& module) {
  py::class_<Scope>(module, "Scope", "Intermediates made inside end with it: `with node.scope():`.")
      .def("__enter__",
           [](py::object self) {
             auto& scope = self.cast<Scope&>();
             if (scope.open) throw bad_argument("a scope is entered once");
             scope.seat->call([&](Orchestrator& node) { scope.open.emplace(node); });
             return self;
           })
      .def("__exit__", [](Scope& scope, const py::args&) {
        if (scope.open) (void)scope.seat->use();
        scope.open.reset();
      });

  py::class_<Seat, SeatRef> program(module, "Orchestrator",
                                    "The node as its program has it: makes tensors, submits tasks, waits.\n\n"
                                    "Valid until the program returns, on the program's own thread.");
  program
      .def(
          "tensor",
          [](const SeatRef& seat, const py::object& shape, const py::object& dtype, const py::object& fill) {
            auto tensor = seat->use().host_tensor(shape_of(shape), dtype_of(dtype));
            if (!fill.is_none()) filled(tensor, fill);
            return tensor;
          },
          py::arg("shape"), py::arg("dtype") = "float32", py::arg("fill") = py::none(),
          "A tensor in host memory, zeroed or filled.")
      .def(
          "alloc",
          [](const SeatRef& seat, const py::object& shape, const py::object& dtype) {
            const auto extents = shape_of(shape);
            const auto type = dtype_of(dtype);
            return seat->call([&](Orchestrator& node) { return node.alloc(extents, type); });
          },
          py::arg("shape"), py::arg("dtype") = "float32",
          "An intermediate: memory while some task needs it, freed when nobody can name it any more.")
      .def(
          "out_like",
          [](const SeatRef& seat, const py::object& like) {
            const auto tensor = tensor_of(like, false);
            return seat->call([&](Orchestrator& node) { return node.out_like(tensor); });
          },
          py::arg("like"), "A new intermediate of the same shape and type, as an output.")
      .def(
          "scope",
          [](const SeatRef& seat) {
            return Scope{seat, {}};
          },
          "Intermediates made inside end with it: `with node.scope():`.")
      .def_property_readonly(
          "chips", [](const SeatRef& seat) { return seat->use().chips(); },
          "Chips (at a pod: nodes) that are there now.")
      .def_property_readonly(
          "path", [](const SeatRef& seat) { return seat->use().path(); },
          "\"node0\", \"pod0/node1\": where this program runs.")
      .def_property_readonly(
          "unfinished", [](const SeatRef& seat) { return seat->use().unfinished(); },
          "Tasks that have not ended, as far as the program knows.")
      .def("__repr__", [](const SeatRef& seat) {
        try {
          return "<troupe.Orchestrator " + seat->use().path() + ">";
        } catch (const Error&) {
          return std::string("<troupe.Orchestrator of a program that is not running here>");
        }
      });
  add_submits(program);
  add_waiting(program);
}

}  // namespace troupe::python

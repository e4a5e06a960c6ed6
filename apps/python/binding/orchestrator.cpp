// What a program in Python sees of its node.
#include "plans.hpp"

namespace troupe::python {
namespace {

using actors::Orchestrator;
using actors::Tensor;

/// A scope of a program, for `with`.
class Scope {
 public:
  explicit Scope(SeatRef seat) : seat_(std::move(seat)) {}
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  /// May go on any thread, at any time: its program ends it then.
  ~Scope() {
    if (seat_->is_here()) leave();
  }

  void enter() {
    if (place_) throw bad_argument("a scope is entered once");
    place_ = seat_->open_scope();
  }
  void exit() {
    if (!place_ || seat_->is_over()) return;
    (void)seat_->use();
    leave();
  }

 private:
  void leave() {
    if (place_) seat_->leave_scope(*std::exchange(place_, {}));
  }

  SeatRef seat_;
  std::optional<std::size_t> place_;  ///< among those of the program; none: it is not open
};

std::string given_name(const actors::detail::SubmitCall& call) {
  return call.extras ? call.extras->name : std::string();
}
/// The call as Python makes it: what is called, its arguments, and options behind them.
struct Given {
  py::object callable;
  std::span<PyObject* const> items;
  py::tuple names;                    ///< of the options
  PyObject* const* values = nullptr;  ///< of the options

  Given(PyObject* const* given, Py_ssize_t count, PyObject* names_of, const char* what, const char* hint) {
    if (count < 1) throw bad_argument(what, hint);
    callable = py::reinterpret_borrow<py::object>(given[0]);
    items = {given + 1, static_cast<std::size_t>(count - 1)};
    names = names_of != nullptr ? py::reinterpret_borrow<py::tuple>(names_of) : py::tuple();
    values = given + count;
  }
  void take_options(actors::detail::SubmitCall& call) const {
    for (std::size_t i = 0; i < names.size(); ++i)
      take_option(call, py::handle(names[i]).cast<std::string>(), values[i]);
  }
};

/// The program behind the object; of a class of a user's own it is found as pybind11 finds it.
SeatRef seat_in(PyObject* self) {
  const auto* instance = reinterpret_cast<const py::detail::instance*>(self);
  if (!instance->simple_layout) return py::handle(self).cast<SeatRef>();
  auto* const seat = static_cast<Seat*>(instance->simple_value_holder[0]);
  if (seat == nullptr) throw bad_argument("an Orchestrator is what a program is called with");
  return seat->shared_from_this();
}

Wait submit_named(const SeatRef& seat, const Named& named, const Given& given, bool functions_only) {
  auto& node = seat->use();
  auto call = node.new_call(given.items.size());
  add_arguments(call.args, given.items);
  given.take_options(call);
  if (named.own) call.more().owned = named.own;
  auto name = given_name(call);
  auto task = seat->call([&](Orchestrator& program) {
    const auto& callable = named.own ? *named.own : program.callable(named.name);
    if (functions_only && callable.kind != actors::CallableKind::function)
      throw bad_argument("submit_sub of \"" + callable.name + "\", which is no host function",
                         "submit is for it");
    return program.submit_gathered(callable, std::move(call));
  });
  return task_of(seat, std::move(task), named.own ? named.own->name : named.name, std::move(name));
}

PyObject* submit(PyObject* self, PyObject* const* items, Py_ssize_t count, PyObject* names) {
  return guarded([&] {
    const Given given(items, count, names, "submit needs to know what", "node.submit(\"vector_add\", …)");
    const auto seat = seat_in(self);
    if (PyUnicode_Check(given.callable.ptr()) == 0 && py::isinstance<PlanOf>(given.callable)) {
      const auto& plan = given.callable.cast<const PlanOf&>();
      py::tuple all(given.items.size());
      for (std::size_t i = 0; i < given.items.size(); ++i)
        all[i] = py::reinterpret_borrow<py::object>(given.items[i]);
      py::kwargs options(py::dict{});
      for (std::size_t i = 0; i < given.names.size(); ++i)
        options[given.names[i]] = py::reinterpret_borrow<py::object>(given.values[i]);
      return py::cast(submit_plan(seat, plan, all, options));
    }
    return py::cast(
        submit_named(seat, callable_of(given.callable, given.items, seat->soft_limit()), given, false));
  });
}

PyObject* submit_sub(PyObject* self, PyObject* const* items, Py_ssize_t count, PyObject* names) {
  return guarded([&] {
    const Given given(items, count, names, "submit_sub needs a function", "node.submit_sub(f, …)");
    return py::cast(submit_named(seat_in(self), function_of(given.callable), given, true));
  });
}

/// A method that gets its arguments as they are, without a tuple and a dict made of them.
template <auto function>
void add_method(const py::object& of, const char* name, const char* text) {
  static PyMethodDef definition;
  definition = {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)),
                METH_FASTCALL | METH_KEYWORDS, text};
  const auto method = py::reinterpret_steal<py::object>(
      PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(of.ptr()), &definition));
  if (!method) throw py::error_already_set();
  of.attr(name) = method;
}

Wait submit_group(const SeatRef& seat, const py::object& callable, const py::object& members,
                  const py::object& chips, const py::kwargs& options) {
  std::vector<actors::Args> all;
  constexpr auto hint = "submit_group(\"add\", [args(in_(a), out(b)), args(in_(c), out(d))])";
  for (const auto& member : items_of(members, "members", "a list of args(…)", hint)) {
    if (!py::isinstance<Member>(member))
      throw bad_argument(
          "the members of a group are args(…), one for each chip, and " + shown(member) + " is none", hint);
    all.push_back(args_of(member.cast<const Member&>()));
  }
  std::vector<int> where;
  if (!chips.is_none()) {
    for (const auto& chip : items_of(chips, "chips", "a list of their numbers", "[0, 1]"))
      where.push_back(integer_of<int>(chip, "a chip"));
  }
  actors::detail::SubmitCall call;
  take_options(call, options);
  const auto named = callable_of(callable, {}, seat->soft_limit());
  if (named.own) call.more().owned = named.own;
  auto name = given_name(call);
  const auto tasks = all.size();
  auto task = seat->call(
      [&](Orchestrator& program) {
        return program.submit_gathered(named.own ? *named.own : program.callable(named.name), std::move(all),
                                       std::move(where), std::move(call));
      },
      tasks);
  return task_of(seat, std::move(task), named.own ? named.own->name : named.name, std::move(name));
}

Wait data_task(const SeatRef& seat, actors::DataTask what, std::initializer_list<actors::TensorUse> uses,
               const runtime::ScalarArg* value, const py::object& chip, const py::kwargs& options) {
  actors::detail::SubmitCall call;
  for (const auto& use : uses) call.args.add(use);
  if (value != nullptr) call.args.add(*value);
  take_options(call, options);
  if (!chip.is_none()) call.take(actors::on_chip(integer_of<std::int64_t>(chip, "on_chip")));
  constexpr const char* names[] = {"", "copy", "fill", "prefetch", "evict", "pin"};
  auto name = given_name(call);
  auto task = seat->call([&](Orchestrator& node) { return node.submit_gathered(what, std::move(call)); });
  return task_of(seat, std::move(task), names[static_cast<std::size_t>(what)], std::move(name));
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

constexpr auto submit_text =
    "submit($self, callable, /, *items, on_chip=None, name=None, after=None, priority=None, deadline=None, "
    "retry=None, idempotent=None, blocks=None, config=None)\n--\n\n"
    "Submits a task: node.submit(\"vector_add\", in_(a), in_(b), out(c), on_chip=1).\n\n"
    "callable    a name, a kernel, a host function, a Plan, or at a pod a program\n"
    "items       tensors or arrays with a tag, in_ out inout out_existing no_dep, and scalar(x)\n"
    "on_chip     the number of the chip (at a pod: of the node) that runs it; None: any\n"
    "name        what errors and traces call it\n"
    "after       a task that ends before it starts, or several, where the data does not say so\n"
    "priority    higher goes first among tasks that are ready; -128 to 127\n"
    "deadline    seconds from now, after which it is given up\n"
    "retry       so many further attempts after a failure\n"
    "idempotent  True: running it again on what it has half done is harmless\n"
    "blocks      how wide a kernel runs\n"
    "config      a CallConfig: the part of the chip that it gets\n\n"
    "Tasks behave as if they ran one after the other, in the order of their submits. Returns something to "
    "wait\n"
    "for: `await task`, or task.wait() in a plain program. Raises Error at once for a task that can never "
    "run.";
constexpr auto submit_sub_text =
    "submit_sub($self, function, /, *items, on_chip=None, name=None, after=None, priority=None, "
    "deadline=None, "
    "retry=None, idempotent=None, blocks=None, config=None)\n--\n\n"
    "Submits a host function, by name or as a function: called with the tensors as arrays, then the "
    "scalars.\n\n"
    "    node.submit_sub(lambda x, by: np.multiply(x, by, out=x), inout(x), scalar(2.0))\n\n"
    "Options as for submit.";

void add_submits(py::class_<Seat, SeatRef>& program) {
  add_method<&submit>(program, "submit", submit_text);
  add_method<&submit_sub>(program, "submit_sub", submit_sub_text);
  program
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

Wait task_of(const SeatRef& seat, actors::Task task, std::string callable, std::string name) {
  Wait wait{Wait::What::task, seat, std::move(task)};
  wait.label = std::make_shared<TaskLabel>();
  wait.label->callable = std::move(callable);
  wait.label->name = std::move(name);
  return wait;
}

Tensor new_tensor(const runtime::Shape& shape, runtime::DType dtype, const py::object& fill,
                  const std::function<Tensor()>& make) {
  std::optional<runtime::ScalarArg> value;
  if (!fill.is_none()) value = scalar_of(fill, py::str(long_name(dtype)));
  const auto work = [&] {
    auto tensor = make();
    if (value) {
      with_element(dtype, [&](auto zero) {
        using T = decltype(zero);
        const auto element = runtime::from_u64<T>(value->word);
        for (auto& one : tensor.host<T>()) one = element;
      });
    }
    return tensor;
  };
  // The time that small ones take is less than what it takes to get back in.
  constexpr std::uint64_t large = 64 << 10;
  return shape.elements().value() * runtime::size_of(dtype) < large ? work() : without_python(work);
}

void add_orchestrator(py::module_& module) {
  py::class_<Scope>(module, "Scope", "Intermediates made inside end with it: `with node.scope():`.")
      .def("__enter__",
           [](py::object self) {
             self.cast<Scope&>().enter();
             return self;
           })
      .def("__exit__", [](Scope& scope, const py::args&) { scope.exit(); });

  py::class_<Seat, SeatRef> program(module, "Orchestrator",
                                    "The node as its program has it: makes tensors, submits tasks, waits.\n\n"
                                    "Valid until the program returns, on the program's own thread.");
  program
      .def(
          "tensor",
          [](const SeatRef& seat, const py::object& shape, const py::object& dtype, const py::object& fill) {
            const auto extents = shape_of(shape);
            const auto type = dtype_of(dtype);
            auto& node = seat->use();
            return new_tensor(extents, type, fill, [&] { return node.host_tensor(extents, type); });
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
          "device_tensor",
          [](const SeatRef& seat, const py::object& shape, const py::object& dtype, std::int64_t chip) {
            const auto extents = shape_of(shape);
            const auto type = dtype_of(dtype);
            return seat->call(
                [&](Orchestrator& node) { return node.device_tensor(extents, type, actors::on_chip(chip)); });
          },
          py::arg("shape"), py::arg("dtype") = "float32", py::kw_only(), py::arg("on_chip"),
          "A tensor with its place on that chip: memory is taken there, and stays. Zero until it is written.")
      .def(
          "scope", [](const SeatRef& seat) { return std::make_unique<Scope>(seat); },
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

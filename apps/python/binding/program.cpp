#include "program.hpp"

#include "seats.hpp"

#include <map>

namespace troupe::python {
namespace {

using actors::Errc;

/// What it returned; throws what it raised.
py::object called(const py::object& function, const py::tuple& args, PyObject* context) {
  auto result = py::reinterpret_steal<py::object>(call_python(function.ptr(), args.ptr(), context));
  if (!result) throw py::error_already_set();
  return result;
}

/// What `coroutine.throw(exception)` answers; null: it raised.
py::object thrown_into(const py::object& coroutine, const py::object& exception, PyObject* context) {
  const py::object method = coroutine.attr("throw");
  return py::reinterpret_steal<py::object>(
      call_python(method.ptr(), py::make_tuple(exception).ptr(), context));
}

/// Threads with code of a user's inside, how deep. Looked at inside Python only.
std::map<std::thread::id, int>& user_code() {
  static auto* const threads = new std::map<std::thread::id, int>;  // threads may outlive everything
  return *threads;
}

Error generator(const std::string& program) {
  return bad_argument("program \"" + program + "\" is a generator, of which nothing would run",
                      "a program that waits is an async def function, with await instead of yield");
}

Error python_has_ended() { return {Errc::shut_down, "Python is ending"}; }

}  // namespace

UserCode::UserCode() { ++user_code()[std::this_thread::get_id()]; }
UserCode::~UserCode() {
  const auto here = user_code().find(std::this_thread::get_id());
  if (--here->second == 0) user_code().erase(here);
}
bool UserCode::is_here() { return user_code().contains(std::this_thread::get_id()); }

std::string name_of(py::handle function) {
  if (PyFunction_Check(function.ptr()) != 0)
    return utf8_of(reinterpret_cast<PyFunctionObject*>(function.ptr())->func_name);
  const auto name = py::getattr(function, "__name__", py::none());
  return PyUnicode_Check(name.ptr()) == 0 ? "program" : utf8_of(name);
}

bool is_coroutine_function(py::handle function) {
  if (PyFunction_Check(function.ptr()) != 0) {  // most are; nobody has to be asked
    const auto* code = reinterpret_cast<PyCodeObject*>(PyFunction_GET_CODE(function.ptr()));
    return (code->co_flags & CO_COROUTINE) != 0;
  }
  return py::module_::import("inspect").attr("iscoroutinefunction")(function).cast<bool>();
}

bool is_generator_function(py::handle function) {
  if (PyFunction_Check(function.ptr()) == 0) return false;  // what it returns tells
  const auto* code = reinterpret_cast<PyCodeObject*>(PyFunction_GET_CODE(function.ptr()));
  return (code->co_flags & (CO_GENERATOR | CO_ASYNC_GENERATOR)) != 0;
}

PythonProgram::PythonProgram(py::object function, py::tuple args, std::string name, std::int64_t soft_limit)
    : name_(std::move(name)), coroutine_(is_coroutine_function(function)), soft_limit_(soft_limit) {
  if (PyCallable_Check(function.ptr()) == 0) {
    throw bad_argument(shown(function) + " is no program",
                       "a program is a function, or an async def function, of (node, its arguments)");
  }
  if (is_generator_function(function)) throw generator(name_);
  function_ = Kept(std::move(function));
  args_ = Kept(std::move(args));
}

Error PythonProgram::failed(py::error_already_set& raised) {
  auto error = error_from(raised, "program \"" + name_ + "\"");
  py::object value = raised.value();
  if (raised.trace()) PyException_SetTraceback(value.ptr(), raised.trace().ptr());
  raised_ = Kept(std::move(value));
  return error;
}

void PythonProgram::run_plain(actors::Orchestrator& node) {
  const WithPython inside;
  if (!inside) throw python_has_ended();
  const UserCode here;
  try {
    const LentSeat lent(node, false, soft_limit_);
    auto result = called(function_.get(), lent.with(args_.get()), context());
    if (PyCoro_CheckExact(result.ptr()) != 0) {
      result.attr("close")();
      throw bad_argument("program \"" + name_ + "\" returned a coroutine, which nobody awaits",
                         "make it an async def function itself");
    }
    if (PyGen_CheckExact(result.ptr()) != 0 || PyAsyncGen_CheckExact(result.ptr()) != 0)
      throw generator(name_);
    returned_ = Kept(std::move(result));
  } catch (py::error_already_set& raised) {
    throw failed(raised);
  }
}

// --- coroutines ------------------------------------------------------------------------------------------

/// The coroutine of an `async def` program, and what it waits for. Lives in the frame of a C++ coroutine,
/// which does the waiting.
class Body {
 public:
  Body(PythonProgram& program, actors::Orchestrator& node) : program_(&program) {
    const WithPython inside;
    if (!inside) throw python_has_ended();
    const UserCode here;
    try {
      lent_ = LentSeat(node, true, program.soft_limit_);
      auto coroutine = called(program.function_.get(), lent_.with(program.args_.get()), program.context());
      step(coroutine, py::none());
      if (!wanted_) return;
      coroutine_ = Kept(std::move(coroutine));
      lent_.seat()->stand_up();
    } catch (py::error_already_set& raised) {
      lent_.leave();
      throw program.failed(raised);
    } catch (...) {
      lent_.leave();
      throw;
    }
  }
  Body(const Body&) = delete;
  Body& operator=(const Body&) = delete;
  ~Body() {
    if (!wanted_) return;  // it has ended: nothing of Python's is left to do
    // Given up while it waits: what it holds ends here, as in any coroutine that is closed.
    const WithPython inside;
    if (!inside) {
      lent_.forget();
      return;
    }
    const UserCode here;
    try {
      lent_.seat()->sit_down();
      (void)called(coroutine_.get().attr("close"), py::tuple(), program_->context());
    } catch (py::error_already_set& raised) {
      raised.discard_as_unraisable(program_->name_.c_str());
    } catch (...) {  // nothing to tell it to
    }
    wanted_.reset();
    lent_.leave();
  }

  bool waits() const { return wanted_.has_value(); }
  const Wait& wanted() const { return *wanted_; }

  void go_on(Answer answer, const std::optional<Error>& error) {
    const WithPython inside;
    if (!inside) {
      lent_.forget();
      wanted_.reset();
      throw python_has_ended();
    }
    const UserCode here;
    lent_.seat()->sit_down();
    const auto wait = *std::move(wanted_);
    wanted_.reset();
    try {
      const auto coroutine = coroutine_.get();
      if (error) {
        took(thrown_into(coroutine, exception_of(*error), program_->context()));
      } else {
        step(coroutine, object_of(wait, std::move(answer)));
      }
      if (wanted_) lent_.seat()->stand_up();
    } catch (py::error_already_set& raised) {
      lent_.leave();
      throw program_->failed(raised);
    } catch (...) {
      lent_.leave();
      throw;
    }
  }

 private:
  void step(const py::object& coroutine, const py::object& value) {
    PyObject* next = nullptr;
    const auto how = send_python(coroutine.ptr(), value.ptr(), &next, program_->context());
    auto object = py::reinterpret_steal<py::object>(next);
    if (how == PYGEN_ERROR) throw py::error_already_set();
    if (how == PYGEN_RETURN) {
      ended(std::move(object));
    } else {
      want(coroutine, object);
    }
  }
  /// What `throw` answered: the next wait, or StopIteration.
  void took(py::object object) {
    if (object) return want(coroutine_.get(), object);
    if (PyErr_ExceptionMatches(PyExc_StopIteration) == 0) throw py::error_already_set();
    const py::error_already_set stopped;
    ended(stopped.value().attr("value"));
  }
  void ended(py::object returned) {
    program_->returned_ = Kept(std::move(returned));
    lent_.leave();
  }
  void want(const py::object& coroutine, const py::object& object) {
    if (!py::isinstance<Wait>(object)) {
      refuse(coroutine, shown(object) + ", which is nothing of troupe's");
    } else if (const auto& wait = object.cast<const Wait&>(); wait.seat != lent_.seat()) {
      refuse(coroutine, "something of another program");
    } else {
      wanted_ = wait;
    }
  }
  /// The `await` that cannot be served raises, in the program.
  void refuse(const py::object& coroutine, const std::string& what) {
    const Error error(
        Errc::bad_argument, "program \"" + program_->name_ + "\" awaits " + what,
        "a program awaits tasks, reads, drains and domains of its node, and its own coroutines");
    took(thrown_into(coroutine, exception_of(error), program_->context()));
  }

  PythonProgram* program_;
  LentSeat lent_;
  Kept coroutine_;
  std::optional<Wait> wanted_;
};

namespace {

/// Reads any element type into memory of its own.
class ReadInto : public actors::ReadBytes {
 public:
  ReadInto(actors::ReadBytes&& from, bool first) : ReadBytes(std::move(from)), first_(first) {}
  Answer await_resume() {
    rethrow();
    Answer answer;
    answer.dtype = tensor_.dtype();
    answer.shape = tensor_.shape();
    const auto elements = first_ ? 1 : tensor_.elements();
    answer.bytes =
        std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(elements) * size_of(answer.dtype));
    finish(answer.bytes->data(), elements);
    return answer;
  }
  Answer get() {
    block_for_data();
    return await_resume();
  }

 private:
  bool first_;
};

ReadInto read_of(actors::Orchestrator& node, const Wait& wait) {
  const bool first = wait.what == Wait::What::read;
  return with_element(wait.tensor.dtype(),
                      [&](auto zero) { return ReadInto(node.read_all<decltype(zero)>(wait.tensor), first); });
}

actors::Program drive(actors::Orchestrator& node, std::shared_ptr<PythonProgram> program) {
  Body body(*program, node);
  while (body.waits()) {
    Answer answer;
    std::optional<Error> failure;
    try {
      const Wait& wanted = body.wanted();
      switch (wanted.what) {
        case Wait::What::task: {
          co_await wanted.task;
          break;
        }
        case Wait::What::drained: {
          auto drained = node.drained();
          co_await drained;
          break;
        }
        case Wait::What::room: {
          auto room = node.room();
          co_await room;
          break;
        }
        case Wait::What::read:
        case Wait::What::read_all: {
          auto read = read_of(node, wanted);
          answer = co_await read;
          break;
        }
        case Wait::What::fetch: {
          auto fetch = node.fetch(wanted.tensor);
          answer.tensor = co_await fetch;
          break;
        }
        case Wait::What::domain: {
          auto request = node.allocate_domain(*wanted.spec);
          answer.domain = co_await request;
          break;
        }
        case Wait::What::barrier: {
          auto barrier = node.barrier(wanted.domain, wanted.rank);
          co_await barrier;
          break;
        }
      }
    } catch (const Error& error) {
      failure = error;
    }
    if (const auto& label = body.wanted().label) label->end(failure ? failure->code() : ErrorCode{});
    body.go_on(std::move(answer), failure);
  }
}

}  // namespace

actors::BoundProgram PythonProgram::bind() {
  actors::BoundProgram bound;
  bound.name = name_;
  auto self = shared_from_this();
  if (coroutine_) {
    bound.coroutine = [self](actors::Orchestrator& node) { return drive(node, self); };
  } else {
    bound.plain = [self](actors::Orchestrator& node) { self->run_plain(node); };
  }
  return bound;
}

// --- waiting ---------------------------------------------------------------------------------------------

py::object object_of(const Wait& wait, Answer answer) {
  if (answer.domain) return py::cast(*std::move(answer.domain));
  if (!answer.bytes) {
    if (answer.tensor) return py::cast(*std::move(answer.tensor));
    return py::none();
  }
  if (wait.what == Wait::What::read) return element_at(answer.bytes->data(), answer.dtype);
  auto elements = Elements::dense(answer.bytes->data(), answer.dtype, answer.shape);
  elements.bits = answer.dtype == runtime::DType::bf16;
  elements.keep = std::move(answer.bytes);
  return array_of(std::move(elements));
}

py::object wait_here(const Wait& wait) {
  (void)wait.seat->use();
  if (wait.seat->coroutine()) {
    throw Error(Errc::blocking_in_coroutine,
                "a wait inside an async def program would hold up everything else",
                "await it: await task, await node.read(x), await node.drained()");
  }
  auto answer = wait.seat->wait([&](actors::Orchestrator& node) -> Answer {
    switch (wait.what) {
      case Wait::What::task:
        try {
          wait.task.wait();
        } catch (const Error& error) {
          wait.label->end(error.code());
          throw;
        }
        wait.label->end();
        return {};
      case Wait::What::drained:
        node.drain();
        return {};
      case Wait::What::room:
        node.room().wait();
        return {};
      case Wait::What::read:
      case Wait::What::read_all:
        return read_of(node, wait).get();
      case Wait::What::fetch: {
        Answer with_tensor;
        with_tensor.tensor = node.fetch(wait.tensor).wait();
        return with_tensor;
      }
      case Wait::What::domain: {
        Answer with_domain;
        with_domain.domain = node.allocate_domain(*wait.spec).get();
        return with_domain;
      }
      case Wait::What::barrier:
        node.barrier(wait.domain, wait.rank).wait();
        return {};
    }
    return {};
  });
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  return object_of(wait, std::move(answer));
}

namespace {

/// ` 3 "scale" ("first"), ended`.
std::string label_of(const Wait& wait) {
  const auto& label = *wait.label;
  auto text = " " + std::to_string(wait.task.number()) + " \"" + label.callable + "\"";
  if (!label.name.empty()) text += " (\"" + label.name + "\")";
  if (!label.ended) return text + (wait.seat->is_over() ? ", of a program that is over" : ", submitted");
  if (label.failed.value == 0) return text + ", ended";
  return text + ", failed: " + std::string(label.failed.name);
}

/// Forgotten is easily what makes a value of it.
bool no_value(const Wait& wait) {
  const bool task = wait.what == Wait::What::task;
  throw bad_argument(std::string(task ? "a task" : "what a program waits for") + " is no value",
                     task ? "it is waited for: await task, or task.wait() in a plain program"
                          : "await node.read(x) is one, or node.read(x).get() in a plain program");
}

bool compared(const Wait& wait, const py::object& other) {
  if (py::isinstance<Wait>(other)) return &wait == &other.cast<const Wait&>();
  return other.is_none() ? false : no_value(wait);
}

}  // namespace

void add_waits(py::module_& module) {
  py::class_<Wait>(module, "Wait",
                   "Something that a program waits for.\n\n"
                   "In an `async def` program: `value = await node.read(x)`. In a plain one: "
                   "`value = node.read(x).get()`. A task is one, too: `await task`, `task.wait()`.")
      .def("get", &wait_here, "Waits, in a plain program, and returns what came of it.")
      .def("wait", &wait_here, "Waits, in a plain program; the same as get().")
      .def_property_readonly(
          "number", [](const Wait& wait) { return wait.task.number(); },
          "The task's number in its program; 0 for what is no task.")
      .def("__bool__", &no_value)
      .def("__float__", [](const Wait& wait) -> double { return no_value(wait), 0; })
      .def("__eq__", &compared)
      .def("__ne__", [](const Wait& wait, const py::object& other) { return !compared(wait, other); })
      .def("__hash__", [](const Wait& wait) { return reinterpret_cast<std::uintptr_t>(&wait) >> 4U; })
      .def("__repr__", [](const Wait& wait) {
        constexpr const char* names[] = {"Task",
                                         "Wait for all tasks",
                                         "Wait for room",
                                         "Wait for an element",
                                         "Wait for elements",
                                         "Wait for bytes",
                                         "Wait for a domain",
                                         "Wait at a barrier"};
        std::string text = std::string("<troupe.") + names[static_cast<std::size_t>(wait.what)];
        if (wait.label) text += label_of(wait);
        return text + ">";
      });
}

}  // namespace troupe::python

#pragma once

// The border to the interpreter: which thread may run Python when, and what becomes of Python objects that
// are let go where Python cannot be entered. Three rules keep the rest simple: who waits has let go of the
// interpreter (WithoutPython); nothing takes the interpreter in a destructor that troupe calls (Kept); at
// exit the gate closes, and threads that still want in sleep until the process is gone.

#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <utility>

namespace py = pybind11;

namespace troupe::python {

/// Something that only a thread inside Python may destroy.
class Leaving {
 public:
  Leaving() = default;
  Leaving(const Leaving&) = delete;
  Leaving& operator=(const Leaving&) = delete;
  virtual ~Leaving() = default;
  Leaving* next = nullptr;
};
/// Destroys it soon, inside Python. From any thread, under any lock: takes neither the interpreter nor
/// memory.
void leave(Leaving* what) noexcept;
/// Destroys what was left so far. Inside Python only.
void clear_leavings() noexcept;

/// A Python object that C++ keeps: copied and dropped anywhere, looked at inside Python only.
class Kept {
 public:
  Kept() = default;
  explicit Kept(py::object object);
  explicit operator bool() const noexcept { return node_ != nullptr; }
  const py::object& get() const { return node_->object; }

 private:
  struct Node final : Leaving {
    py::object object;
  };
  std::shared_ptr<Node> node_;
};

/// Inside Python while it lives, from any thread. False when Python is ending: then nothing may be done.
class WithPython {
 public:
  WithPython() noexcept;
  WithPython(const WithPython&) = delete;
  WithPython& operator=(const WithPython&) = delete;
  ~WithPython();
  explicit operator bool() const noexcept { return inside_; }

 private:
  PyGILState_STATE before_{};
  bool inside_ = false;
};

/// Outside of Python while it lives: others may run there.
class WithoutPython {
 public:
  WithoutPython() noexcept;
  WithoutPython(const WithoutPython&) = delete;
  WithoutPython& operator=(const WithoutPython&) = delete;
  ~WithoutPython();

 private:
  PyThreadState* thread_;
};

/// Runs `work` outside of Python.
template <class Work>
auto without_python(Work work) {
  const WithoutPython outside;
  return work();
}

/// For a thread whose interpreter has gone: sleeps until the process ends.
[[noreturn]] void sleep_for_ever() noexcept;

/// Calls code of a user's, inside a WithPython. The interpreter ends a thread that wants in too late by
/// unwinding it, through code that cannot be unwound: that happens in here only, and here the thread sleeps
/// instead. Null: an exception is set. `context`: of contextvars, what the code runs in; null: as it is.
PyObject* call_python(PyObject* function, PyObject* args, PyObject* context = nullptr) noexcept;
/// The same for a step of a coroutine.
PySendResult send_python(PyObject* coroutine, PyObject* value, PyObject** next,
                         PyObject* context = nullptr) noexcept;

/// A copy of the context (contextvars) of who is here, for code that it has run elsewhere.
py::object context_here();
/// In a notebook somebody else makes them.
void contexts_from(py::object maker);

/// The thread that Python handles signals on.
bool is_main_thread() noexcept;

/// A number from 1 on that is another one in a child of fork; asking for it is no system call.
std::uint64_t this_process() noexcept;

/// Once, when the module is loaded.
void open_gate();
/// No thread but the main one gets into Python any more.
void close_gate();

}  // namespace troupe::python

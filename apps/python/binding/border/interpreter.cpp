#include "border/interpreter.hpp"

#include <cxxabi.h>
#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <thread>

namespace troupe::python {
namespace {

/// There is one interpreter in a process, so there is one of this: the only state of the binding that is not
/// in an object of somebody's.
struct Gate {
  std::atomic<bool> closed{false};
  std::atomic<bool> asked{false};  ///< Python has been asked to clear what was left
  std::atomic<int> busy{0};        ///< threads on the way in, or inside with something else than user code
  std::atomic<Leaving*> left{nullptr};
  std::thread::id main{};
  std::atomic<std::uint64_t> process{1};  ///< counts on in children of fork
};
Gate gate;

bool may_enter() noexcept {
  gate.busy.fetch_add(1);
  if (!gate.closed.load() || std::this_thread::get_id() == gate.main) return true;
  gate.busy.fetch_sub(1);
  return false;
}
void no_longer_busy() noexcept { gate.busy.fetch_sub(1); }

/// Back from code of a user's, inside Python. What it returned is worth nothing when Python has ended
/// meanwhile.
void busy_again() noexcept {
  if (may_enter()) return;
  PyEval_SaveThread();
  sleep_for_ever();
}

/// Inside a context until left; that of the thread where it is null, or another thread is in it.
class InContext {
 public:
  explicit InContext(PyObject* context) : context_(context) {
    if (context_ == nullptr || PyContext_Enter(context_) == 0) return;
    PyErr_Clear();
    context_ = nullptr;
  }
  void leave() const {
    if (context_ == nullptr) return;
    PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
    PyErr_Fetch(&type, &value, &trace);
    if (PyContext_Exit(context_) != 0) PyErr_Clear();
    PyErr_Restore(type, value, trace);
  }

 private:
  PyObject* context_;
};

/// What makes contexts, where it is not Python itself. Inside Python only.
py::object& maker_of_contexts() {
  static auto* const one = new py::object;
  return *one;
}

}  // namespace

py::object context_here() {
  if (const auto& maker = maker_of_contexts()) return maker();
  auto made = py::reinterpret_steal<py::object>(PyContext_CopyCurrent());
  if (!made) throw py::error_already_set();
  return made;
}

void contexts_from(py::object maker) { maker_of_contexts() = std::move(maker); }

void leave(Leaving* what) noexcept {
  if (what == nullptr) return;
  what->next = gate.left.load();
  while (!gate.left.compare_exchange_weak(what->next, what)) {
  }
  if (gate.asked.exchange(true)) return;
  const bool here = may_enter();
  // Cannot be asked now: whoever is inside Python next does it.
  const auto clear = [](void*) {
    clear_leavings();
    return 0;
  };
  if (!here || Py_IsInitialized() == 0 || Py_AddPendingCall(clear, nullptr) != 0) gate.asked = false;
  if (here) no_longer_busy();
}

void clear_leavings() noexcept {
  gate.asked = false;
  auto* left = gate.left.exchange(nullptr);
  while (left != nullptr) delete std::exchange(left, left->next);
}

Kept::Kept(py::object object) : node_(new Node, [](Node* node) { leave(node); }) {
  node_->object = std::move(object);
}

WithPython::WithPython() noexcept {
  if (!may_enter()) return;
  before_ = PyGILState_Ensure();
  inside_ = true;
  clear_leavings();
}
WithPython::~WithPython() {
  if (!inside_) return;
  PyGILState_Release(before_);
  no_longer_busy();
}

WithoutPython::WithoutPython() noexcept : thread_(PyEval_SaveThread()) {}
WithoutPython::~WithoutPython() {
  if (!may_enter()) sleep_for_ever();
  PyEval_RestoreThread(thread_);
  no_longer_busy();
  clear_leavings();
}

PyObject* call_python(PyObject* function, PyObject* args, PyObject* context) noexcept {
  no_longer_busy();
  try {
    const InContext inside(context);
    auto* const result = PyObject_CallObject(function, args);
    inside.leave();
    busy_again();
    return result;
  } catch (const abi::__forced_unwind&) {
    sleep_for_ever();
  }
}

PySendResult send_python(PyObject* coroutine, PyObject* value, PyObject** next, PyObject* context) noexcept {
  no_longer_busy();
  try {
    const InContext inside(context);
    const auto how = PyIter_Send(coroutine, value, next);
    inside.leave();
    busy_again();
    return how;
  } catch (const abi::__forced_unwind&) {
    sleep_for_ever();
  }
}

void sleep_for_ever() noexcept {
  for (;;) pause();
}

bool is_main_thread() noexcept { return std::this_thread::get_id() == gate.main; }

std::uint64_t this_process() noexcept { return gate.process.load(); }

void open_gate() {
  gate.main = std::this_thread::get_id();
  // Threads that were on their way in are not there in a child.
  pthread_atfork(nullptr, nullptr, [] {
    gate.busy = 0;
    gate.process.fetch_add(1);
    gate.main = std::this_thread::get_id();
  });
}

void close_gate() {
  gate.closed = true;
  {
    const WithoutPython outside;  // who was on the way in gets in, and out again
    while (gate.busy.load() > 0) std::this_thread::yield();
  }
  clear_leavings();
}

}  // namespace troupe::python

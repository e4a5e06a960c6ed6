#pragma once

// Programs in Python: functions, and `async def` ones, as programs of troupe; and what they wait for.

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "data/arrays.hpp"
#include "troupe/runtime/limits.hpp"

namespace troupe::python {

/// The orchestrator as a program in Python holds it: it may be kept longer than the program lives, and be
/// taken to other threads, where its use is an error. Inside Python only.
class Seat : public std::enable_shared_from_this<Seat> {
 public:
  /// For a program that begins on this thread.
  void take(actors::Orchestrator& node, bool coroutine, std::int64_t soft_limit) {
    node_ = &node;
    coroutine_ = coroutine;
    soft_limit_ = soft_limit;
    sit_down();
  }
  /// The program's code goes on, on this thread.
  void sit_down() { thread_ = std::this_thread::get_id(); }
  /// It waits, and other code runs on this thread.
  void stand_up() { thread_ = std::thread::id(); }
  /// The program is over, and so are its scopes.
  void leave() {
    while (!scopes_.empty()) scopes_.pop_back();
    node_ = nullptr;
  }
  bool is_over() const { return node_ == nullptr; }
  /// The program has not returned, and who asks is its code.
  bool is_here() const { return node_ != nullptr && thread_ == std::this_thread::get_id(); }
  bool coroutine() const { return coroutine_; }
  std::int64_t soft_limit() const { return soft_limit_; }

  /// Throws `wrong_program` when the program is over, and on a thread that is not its own.
  actors::Orchestrator& use() const;
  /// A call that appends so many tasks to the program at most; each member of a group counts as one. It waits
  /// when there is no room: then outside of Python.
  template <class Work>
  auto call(Work work, std::size_t tasks = 1) const {
    auto& node = use();
    // As far from the limit as the call can append, nothing waits.
    if (!coroutine_ && static_cast<std::int64_t>(node.unfinished() + tasks * lines_of_a_task) >= soft_limit_)
      return without_python([&] { return work(node); });
    return work(node);
  }
  /// A call that waits.
  template <class Work>
  auto wait(Work work) const {
    auto& node = use();
    return without_python([&] { return work(node); });
  }

  /// A scope, by its place among those that the program has open. It ends when it has been left, and so have
  /// those that were opened in it; at the latest with the program.
  std::size_t open_scope();
  void leave_scope(std::size_t place);

 private:
  struct OpenScope {
    actors::Scope scope;
    bool left = false;
  };
  /// At most: each of its tensors is copied to its chip, and back.
  static constexpr std::size_t lines_of_a_task = 600;
  static_assert(lines_of_a_task > 1 + 2 * runtime::limits::chip_tensors);

  actors::Orchestrator* node_ = nullptr;
  std::thread::id thread_{};
  bool coroutine_ = false;
  std::int64_t soft_limit_ = 0;
  std::vector<OpenScope> scopes_;  ///< the innermost one last
};
using SeatRef = std::shared_ptr<Seat>;

/// What a program calls a task, and what it knows of its end. Copies of a Wait share it.
struct TaskLabel {
  std::string callable, name;
  ErrorCode failed = {};           ///< behind `ended`
  std::atomic<bool> ended{false};  ///< as far as the program has waited

  void end(ErrorCode error = {}) {
    if (ended) return;
    failed = error;
    ended = true;
  }
};

/// Something to wait for: `await` it in an `async def` program, call get() or wait() on it in a plain one.
struct Wait {
  enum class What { task, drained, room, read, read_all, fetch, domain, barrier };
  What what = What::drained;
  SeatRef seat;
  actors::Task task = {};
  std::shared_ptr<TaskLabel> label = {};
  actors::Tensor tensor = {};
  std::shared_ptr<const actors::DomainSpec> spec = {};
  actors::Domain domain = {};
  int rank = 0;
};

/// What came of it, as it can be carried outside of Python.
struct Answer {
  std::shared_ptr<std::vector<std::byte>> bytes = {};
  runtime::DType dtype = runtime::DType::f32;
  runtime::Shape shape = {};
  std::optional<actors::Domain> domain = {};
  std::optional<actors::Tensor> tensor = {};
};
py::object object_of(const Wait& wait, Answer answer);
/// Waits here; an error inside a coroutine.
py::object wait_here(const Wait& wait);

/// A program in Python with its arguments. Shared by its run and by who waits for it.
class PythonProgram : public std::enable_shared_from_this<PythonProgram> {
 public:
  /// Inside Python. Throws `bad_argument` for what cannot be called.
  PythonProgram(py::object function, py::tuple args, std::string name, std::int64_t soft_limit);

  actors::BoundProgram bind();
  /// Its code runs in this context (contextvars). Inside Python, before it runs.
  void stay_in(py::object context) { context_ = Kept(std::move(context)); }
  /// Calls it with these instead. Inside Python, before it runs.
  void give(py::tuple args) { args_ = Kept(std::move(args)); }
  const std::string& name() const { return name_; }

  // Inside Python, when the run is over.
  /// What it raised itself, if it did; null otherwise.
  py::object raised() const { return raised_ ? raised_.get() : py::object(); }
  /// What it returned.
  py::object returned() const { return returned_ ? returned_.get() : py::object(py::none()); }

 private:
  friend class Body;
  void run_plain(actors::Orchestrator& node);
  /// Keeps what was raised, and makes an error of it.
  Error failed(py::error_already_set& raised);

  const std::string name_;
  PyObject* context() const { return context_ ? context_.get().ptr() : nullptr; }

  Kept function_, args_, raised_, returned_, context_;
  const bool coroutine_;
  const std::int64_t soft_limit_;
};

/// While code of a program (or a host function) runs on this thread: it must not end its own system, which
/// would wait for it.
class UserCode {
 public:
  UserCode();
  UserCode(const UserCode&) = delete;
  UserCode& operator=(const UserCode&) = delete;
  ~UserCode();
  static bool is_here();
};

/// How a program is to be called in errors and traces.
std::string name_of(py::handle function);
bool is_coroutine_function(py::handle function);
/// It has a `yield`: to call it runs nothing of it.
bool is_generator_function(py::handle function);

void add_waits(py::module_& module);

}  // namespace troupe::python

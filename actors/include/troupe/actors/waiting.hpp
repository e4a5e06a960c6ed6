#pragma once

// What a program can wait for: `co_await` it in a coroutine, call `wait` or `get` on it in a plain function.
// A waiter keeps its answer and nothing of the program; it may outlive the program. Threads: the program's
// own. Errors are thrown by the wait: the error of the task or read, blocking_in_coroutine for a blocking
// call in a coroutine, wrong_program once the program has returned, and for a caller that is not code of the
// program.

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "troupe/actors/domain_spec.hpp"
#include "troupe/actors/submission.hpp"
#include "troupe/actors/tensor.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::actors {

class Orchestrator;
class ProgramCore;
/// The place of a program. Any thread may ask is_here() while the program runs; only the thread that runs the
/// program may use `core`.
struct ProgramPlace {
  ProgramCore* core = nullptr;
  /// The thread that runs code of the program now; none while it waits.
  std::atomic<std::thread::id> inside{};

  bool is_here() const noexcept { return inside.load() == std::this_thread::get_id(); }
};
/// Names a program and keeps nothing of it: expired when it is over.
using ProgramLife = std::weak_ptr<ProgramPlace>;

/// A line of the user's code: as a default argument, that of the call.
struct CodeLine {
  const char* file = nullptr;  ///< null: not known
  int line = 0;

  static constexpr CodeLine here(const char* in = __builtin_FILE(), int at = __builtin_LINE()) {
    return {in, at};
  }
};

/// The base of everything that can be awaited. The program forgets an object that is destroyed before its
/// answer has come.
class TROUPE_API Waiter {
 public:
  explicit Waiter(ProgramLife program, CodeLine at = {}) : line(at), program_(std::move(program)) {}
  Waiter(Waiter&& other) noexcept  ///< only before the wait begins
      : line(other.line), program_(std::move(other.program_)) {}
  Waiter& operator=(Waiter&&) = delete;
  ~Waiter();

 protected:
  friend class ProgramCore;
  bool await_ready() const noexcept { return false; }
  /// Blocks a plain function until the answer is there; throws `blocking_in_coroutine` in a coroutine.
  void block();
  void rethrow() const {
    if (error) throw *error;
  }

  /// Throws `wrong_program` when the program has returned, and when the caller is not its code.
  ProgramCore& core() const;
  const ProgramLife& program() const noexcept { return program_; }

  CodeLine line;            ///< where the program waits
  std::uint64_t token = 0;  ///< 0: not registered
  bool answered = false;
  std::optional<Error> error;
  std::uint64_t value = 0;
  std::shared_ptr<const DomainInfo> domain;
  std::coroutine_handle<> continuation;

 private:
  ProgramLife program_;
};

/// The name of a submitted task. Valid in its program (elsewhere its use throws `wrong_program`); cheap to
/// copy; keeps nothing alive.
class TROUPE_API Task {
 public:
  Task() = default;
  Task(ProgramLife program, TaskNumber number) : program_(std::move(program)), number_(number) {}

  TaskNumber number() const noexcept { return number_; }
  const ProgramLife& program() const noexcept { return program_; }
  explicit operator bool() const noexcept { return number_ != 0; }

  /// Waits for its end; throws its error, which then does not fail the run any more. Plain functions only.
  void wait(CodeLine at = CodeLine::here()) const;

  class TROUPE_API Await : public Waiter {
   public:
    Await(ProgramLife program, TaskNumber number) : Waiter(std::move(program)), number_(number) {}
    using Waiter::await_ready;
    void await_suspend(std::coroutine_handle<> self, CodeLine at = CodeLine::here());
    void await_resume() const { rethrow(); }
    void wait(CodeLine at = CodeLine::here());

   private:
    void begin();
    TaskNumber number_;
  };
  Await operator co_await() const { return {program_, number_}; }

 private:
  ProgramLife program_;
  TaskNumber number_ = 0;
};

/// `after(task)`: an edge that the data does not show.
struct After {
  ProgramLife program;
  TaskNumber number;
};
inline After after(const Task& task) { return {task.program(), task.number()}; }

/// `node.drained()`: everything submitted so far has ended. Throws the first failure that the program has not
/// awaited yet.
class TROUPE_API Drained : public Waiter {
 public:
  using Waiter::await_ready;
  using Waiter::Waiter;
  void await_suspend(std::coroutine_handle<> self);
  void await_resume() const { rethrow(); }
  void wait();
};

/// `node.room()`: the number of unfinished tasks is below the program's soft limit.
class TROUPE_API Room : public Waiter {
 public:
  using Waiter::Waiter;
  bool await_ready() const;
  void await_suspend(std::coroutine_handle<> self);
  void await_resume() const { rethrow(); }
  void wait();

 private:
  std::uint64_t room_limit() const;
};

/// `node.read<T>(tensor)`: the bytes of a tensor once its last writer is done; later writers wait until they
/// are copied.
class TROUPE_API ReadBytes : public Waiter {
 public:
  /// Throws `dtype_mismatch` when the elements are of another type than `wanted`.
  ReadBytes(ProgramLife program, const Tensor& tensor, runtime::DType wanted, CodeLine at);
  ReadBytes(ReadBytes&&) = default;
  ~ReadBytes();
  using Waiter::await_ready;
  void await_suspend(std::coroutine_handle<> self);

 protected:
  void block_for_data();
  /// Copies the first `elements` elements, in order, into `to`, then lets later writers go on.
  void finish(void* to, std::uint64_t elements);
  Tensor tensor_;

 private:
  void begin();
  TaskNumber number_ = 0;
  bool finished_ = false;
};

/// `node.fetch(tensor)`: its newest bytes are in host memory. Gives the tensor to look at: itself, or, of
/// memory that stays on its chip, a copy as it was in the order of the program.
class [[nodiscard]] Fetch : public ReadBytes {
 public:
  Fetch(ProgramLife program, const Tensor& tensor, CodeLine at)
      : ReadBytes(std::move(program), tensor, tensor.dtype(), at), given_(tensor) {}
  Tensor await_resume() {
    rethrow();
    finish(nullptr, 0);
    return given_;
  }
  Tensor wait() {
    block_for_data();
    return await_resume();
  }

 private:
  Tensor given_;
};

/// The first element; throws `out_of_range` when there is none.
template <runtime::Element T>
class [[nodiscard]] Read : public ReadBytes {
 public:
  Read(ProgramLife program, const Tensor& tensor, CodeLine at)
      : ReadBytes(std::move(program), tensor, runtime::dtype_of<T>, at) {}
  T await_resume() {
    rethrow();
    T first{};
    finish(&first, 1);
    return first;
  }
  T get() {
    block_for_data();
    return await_resume();
  }
  operator T() { return get(); }  // NOLINT(google-explicit-constructor): `float x = node.read<float>(t);`
};

/// All elements, row-major.
template <runtime::Element T>
class [[nodiscard]] ReadAll : public ReadBytes {
 public:
  ReadAll(ProgramLife program, const Tensor& tensor, CodeLine at)
      : ReadBytes(std::move(program), tensor, runtime::dtype_of<T>, at) {}
  std::vector<T> await_resume() {
    rethrow();
    std::vector<T> values(static_cast<std::size_t>(tensor_.elements()));
    finish(values.data(), tensor_.elements());
    return values;
  }
  std::vector<T> get() {
    block_for_data();
    return await_resume();
  }
};

}  // namespace troupe::actors

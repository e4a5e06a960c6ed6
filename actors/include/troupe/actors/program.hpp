#pragma once

// The return type of programs that are coroutines. A Program owns its coroutine frame.
// Threads: it is resumed on the program's own thread of control; only its owner destroys it.
// Errors: an exception that leaves the coroutine is kept and rethrown at the `co_await`, or becomes the error
// of the run.

#include <coroutine>
#include <exception>
#include <utility>

namespace troupe::actors {

/// The return type of an orchestration program that is a coroutine. Owns the frame: destroying a `Program`
/// destroys what the coroutine holds. Starts when the framework (or a `co_await` in another program) resumes
/// it, always on the program's own thread of control. `co_await other(node, …)` runs a program as a part of
/// this one: its submits are this program's submits, its exception surfaces at the `co_await`.
///
/// g++ 12 cannot compile a braced list inside an expression with `co_await`: name the value first.
class [[nodiscard]] Program {
 public:
  struct promise_type {
    std::exception_ptr failure;
    std::coroutine_handle<> continuation;

    Program get_return_object() noexcept {
      return Program{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct Back {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> self) noexcept {
          auto next = self.promise().continuation;
          return next ? next : std::noop_coroutine();
        }
        void await_resume() noexcept {}
      };
      return Back{};
    }
    void unhandled_exception() noexcept { failure = std::current_exception(); }
    void return_void() noexcept {}
  };

  Program() = default;
  Program(Program&& other) noexcept : frame_(std::exchange(other.frame_, {})) {}
  Program& operator=(Program&& other) noexcept {
    std::swap(frame_, other.frame_);
    return *this;
  }
  ~Program() {
    if (frame_) frame_.destroy();
  }

  explicit operator bool() const noexcept { return static_cast<bool>(frame_); }
  bool done() const noexcept { return frame_.done(); }
  /// Runs until the next suspension. For the framework.
  void resume() const { frame_.resume(); }
  std::exception_ptr failure() const noexcept { return frame_.promise().failure; }

  /// Awaiting a program runs it to its end.
  auto operator co_await() && noexcept {
    struct Awaiter {
      std::coroutine_handle<promise_type> frame;
      bool await_ready() const noexcept { return !frame || frame.done(); }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> caller) noexcept {
        frame.promise().continuation = caller;
        return frame;
      }
      void await_resume() const {
        if (frame && frame.promise().failure) std::rethrow_exception(frame.promise().failure);
      }
    };
    return Awaiter{frame_};
  }

 private:
  explicit Program(std::coroutine_handle<promise_type> frame) noexcept : frame_(frame) {}
  std::coroutine_handle<promise_type> frame_;
};

}  // namespace troupe::actors

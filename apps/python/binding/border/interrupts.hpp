#pragma once

// Ctrl-C while the main thread waits outside of Python. Python's own handler only takes a note there; a
// thread of ours reads that a signal has come (through the descriptor that Python writes to) and asks for a
// stop.

#include <optional>
#include <stop_token>

#include "border/interpreter.hpp"

namespace troupe::python {

struct SignalReader;

/// Code of a user's was ended by Ctrl-C on the main thread, and what it raised becomes an error of its task:
/// who waits there raises KeyboardInterrupt all the same. Inside Python; on other threads it does nothing.
void interrupt_again();

/// While it lives, signals ask for a stop. On other threads than the main one it does nothing: Python handles
/// signals on that one alone. Made and destroyed inside Python.
class SignalWatch {
 public:
  enum class On { ctrl_c, any_signal };
  /// `later`: whoever waits says so by about_to_wait(), from when on it listens. To begin and to end that is
  /// two calls of the system, which is more than a short run costs.
  enum class From { now, later };
  explicit SignalWatch(On what, From when = From::now);
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;
  ~SignalWatch();

  /// Outside of Python, on the thread that made it. A signal that has come before is one that it has heard
  /// of.
  void about_to_wait() noexcept;
  /// Raises what a handler has raised there. Inside Python.
  void raise_raised();

  std::stop_token token() const { return source_.get_token(); }
  /// As a signal does; on any thread.
  void request() const { (void)std::stop_source(source_).request_stop(); }
  bool watches() const { return watches_; }

 private:
  friend struct SignalReader;
  void listen();

  std::stop_source source_;
  bool watches_ = false;
  bool only_ctrl_c_;
  int before_ = -1;
  SignalWatch* outer_ = nullptr;
  SignalReader* reader_ = nullptr;
  bool asked_ = false;
  std::optional<py::error_already_set> raised_;
};

}  // namespace troupe::python

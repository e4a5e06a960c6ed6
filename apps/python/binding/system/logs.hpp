#pragma once

// Log lines for a function of Python's. They come from any thread, perhaps under a lock, where Python must
// not be entered: a thread of its own hands them over.

#include <memory>
#include <string_view>

#include "border/interpreter.hpp"

namespace troupe::python {

class LogPump {
 public:
  /// Inside Python. The function is called with (level, path, text).
  explicit LogPump(py::object function);
  LogPump(const LogPump&) = delete;
  LogPump& operator=(const LogPump&) = delete;
  ~LogPump();

  /// From any thread.
  void add(int level, std::string_view path, std::string_view text) const;
  /// Returns when all lines have been handed over; more are dropped. Outside of Python.
  void finish() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace troupe::python

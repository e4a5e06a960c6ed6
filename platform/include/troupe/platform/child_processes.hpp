#pragma once

// Child processes with time limits, for test runners. The object owns its children: its destructor kills and
// reaps them. One thread: start() and run() are called, and the callbacks come, on the caller's.
// Errors: start() returns a Result (invalid_argument, system); how a child ended is told to its on_end.

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"
#include "troupe/runtime/saturated.hpp"

namespace troupe::platform {

/// How a child process ended.
struct ChildEnd {
  int exit_code = -1;  ///< -1: it did not exit by itself
  int signal = 0;      ///< what killed it; 0: nothing
  bool timed_out = false;
  std::chrono::milliseconds took{0};

  bool success() const noexcept { return exit_code == 0; }
};

/// "exit code 3", "killed by signal 11 (Segmentation fault)", "timed out after 60.0 s".
[[nodiscard]] TROUPE_API std::string render(const ChildEnd& end);

/// Runs programs side by side and hears of their output and their ends on one thread: for test runners, which
/// must survive what they run. A child gets a process group of its own; a timeout kills the whole group.
/// Waits on file descriptors, never polls. Not thread-safe. The destructor kills what still runs.
class TROUPE_API ChildProcesses {
 public:
  struct Request {
    std::vector<std::string> command;                    ///< program path and arguments
    runtime::Milliseconds timeout = {};                  ///< 0: none
    std::function<void(std::string_view line)> on_line;  ///< stdout and stderr, line by line
    std::function<void(const ChildEnd&)> on_end;         ///< may start further children
  };

  ChildProcesses();
  ~ChildProcesses();
  ChildProcesses(const ChildProcesses&) = delete;
  ChildProcesses& operator=(const ChildProcesses&) = delete;

  /// Fails with Errc::system when the program cannot be started.
  Result<void> start(Request request);
  [[nodiscard]] std::size_t running() const noexcept;
  /// Serves the children until none is left, those started meanwhile included.
  void run();

 private:
  struct Child;
  std::vector<std::unique_ptr<Child>> children_;
};

}  // namespace troupe::platform

#pragma once

// Runs many jobs in child processes, some at a time. Blocks the calling thread until all have ended and owns
// the children meanwhile. Callbacks (`command`, `print`) come on that thread.
// Errors: a job that cannot be started counts as failed, with the reason in its lines; the summary tells all.

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/runtime/export.hpp"
#include "troupe/runtime/saturated.hpp"

namespace troupe::platform {

/// One thing to run in a process of its own, on a virtual device.
struct RunnerJob {
  std::string name;
  /// The program and its arguments, given the device it gets. Exit code 0 is a pass, `skip_code` a skip.
  std::function<std::vector<std::string>(int device)> command;
};

struct RunnerOptions {
  std::vector<int> devices{0};                               ///< as many jobs run side by side
  runtime::Milliseconds timeout = std::chrono::minutes(10);  ///< per job
  int retries = 1;                                   ///< fresh tries for jobs that failed or did not finish
  bool fail_fast = false;                            ///< start nothing more after a failure
  int skip_code = 0;                                 ///< exit code of a job that cannot be done here; 0: none
  std::function<void(std::string_view)> print = {};  ///< a line for people; empty: stdout
};

struct RunnerSummary {
  std::size_t passed = 0;
  std::vector<std::string> flaky;      ///< passed, but not at once
  std::vector<std::string> failed;     ///< never passed
  std::vector<std::string> timed_out;  ///< of those, the jobs whose last try ran out of time
  std::vector<std::string> not_run;    ///< after a failure, with fail_fast
  std::vector<std::string> skipped;    ///< neither passed nor failed: they cannot be done here

  /// 0: all passed; 124: something ran out of time; 1: something failed.
  [[nodiscard]] int exit_code() const noexcept { return failed.empty() ? 0 : timed_out.empty() ? 1 : 124; }
};

/// Spreads jobs over devices, each job in a child process with a time limit: a job that hangs or crashes is
/// killed with its process and disturbs no other. One line per end,
///   [dev3] [17/40] PASS: name (1.2s)
/// then the output of a failed or skipped job. A job that failed or did not finish is tried again in a fresh
/// process; only its last try counts. Runs on the calling thread.
TROUPE_API RunnerSummary run_in_parallel(const std::vector<RunnerJob>& jobs, const RunnerOptions& options);

}  // namespace troupe::platform

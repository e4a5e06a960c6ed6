#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "code/code.hpp"
#include "troupe/platform/device_abi.h"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/error.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::common {

/// How a run ended; code 0 is success.
struct Outcome {
  std::int32_t code = 0;
  std::string message;
  std::uint64_t caused_by = 0;

  Outcome() = default;
  Outcome(const Error& error);  // NOLINT(google-explicit-constructor): an error is an outcome
  bool ok() const noexcept { return code == 0; }
};

/// Of what is thrown now, in `where` (of `name`); in a word, if there is no memory for a sentence.
Outcome outcome_of_thrown(const char* where, std::string_view name = {}) noexcept;
/// How a run ends that was not allowed to.
inline Error aborted(const char* what) { return Error(Errc::aborted, what); }

/// One accepted run: the chip's own copy of what was launched, and what became of it.
struct Run {
  std::uint64_t correlation = 0;
  std::uint64_t callable_id = 0;
  std::shared_ptr<const RegisteredCallable> callable;  ///< null: the id was unknown at launch
  std::vector<troupe_tensor_arg> tensors;
  std::vector<std::uint64_t> scalars;
  std::vector<std::uint8_t> scalar_kinds;  ///< one for each
  std::vector<std::uint64_t> depends_on;
  std::string name;  ///< the host's, for people; empty: none
  std::uint32_t flags = 0;
  std::uint32_t blocks = 1;
  std::uint32_t block_dim = 0;
  std::uint32_t control_threads = 0;
  std::uint32_t chip_runtime = 0;

  std::atomic<bool> aborted{false};
  std::uint64_t queued_ns = 0, started_ns = 0, finished_ns = 0;
  std::uint64_t chip_tasks = 0;
  Outcome outcome;
  bool ended = false;    ///< its completion has been made or is on its way; with the queue's mutex
  bool awaited = false;  ///< by run_runtime, instead of a completion

  bool wants(troupe_run_flag flag) const noexcept { return (flags & static_cast<std::uint32_t>(flag)) != 0; }
  /// Takes over a launched description; keeps the vectors' memory for the next.
  void assign(const troupe_run& description);
};

/// Whether these runs can be taken at all, after the one with the number `last`.
Result<void> check_launch(std::span<const troupe_run> runs, std::uint64_t last);

/// What executes runs, one at a time, and can be told to hurry.
class RunExecutor {
 public:
  virtual Outcome execute(Run& run) noexcept = 0;
  /// Called once `run.aborted` is set: wakes every wait of the run if it is the one that executes.
  virtual void interrupt(Run& run) noexcept = 0;

 protected:
  ~RunExecutor() = default;
};

}  // namespace troupe::platform::common

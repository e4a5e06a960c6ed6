#include "runs/run.hpp"

#include <exception>
#include <new>
#include <utility>

#include "troupe/runtime/limits.hpp"
#include "troupe/runtime/thrown.hpp"

namespace troupe::platform::common {

Outcome::Outcome(const Error& error) : code(error.code().value), message(error.message()) {
  if (!error.hint().empty()) message.append("; ").append(error.hint());
  for (const Error* cause = error.cause(); cause != nullptr; cause = cause->cause()) {
    message.append(": ").append(cause->message());
  }
}

Outcome outcome_of_thrown(const char* where, std::string_view name) noexcept {
  Outcome outcome;
  try {
    std::string text = where;
    if (!name.empty()) text.append(" '").append(name).append("'");
    try {
      throw;
    } catch (const std::bad_alloc& thrown) {
      outcome.code = TROUPE_DEVICE_OUT_OF_MEMORY;
      text += ": " + runtime::text_of(thrown);
    } catch (const std::exception& thrown) {
      outcome.code = TROUPE_DEVICE_INTERNAL;
      text += ": " + runtime::text_of(thrown);
    } catch (...) {
      outcome.code = TROUPE_DEVICE_INTERNAL;
    }
    outcome.message = std::move(text);
  } catch (...) {
    outcome.code = TROUPE_DEVICE_OUT_OF_MEMORY;
    outcome.message = "out of memory";  // short enough to need none
  }
  return outcome;
}

void Run::assign(const troupe_run& description) {
  correlation = description.correlation;
  callable_id = description.callable;
  tensors.assign(description.tensors, description.tensors + description.tensor_count);
  scalars.assign(description.scalars, description.scalars + description.scalar_count);
  scalar_kinds.assign(description.scalar_count, TROUPE_SCALAR_ANY);
  if (description.scalar_kinds != nullptr) {
    scalar_kinds.assign(description.scalar_kinds, description.scalar_kinds + description.scalar_count);
  }
  depends_on.assign(description.depends_on, description.depends_on + description.depends_count);
  name.assign(description.name != nullptr ? description.name : "");
  flags = description.flags;
  blocks = description.blocks == 0 ? 1 : description.blocks;
  block_dim = description.block_dim;
  control_threads = description.control_threads;
  chip_runtime = description.chip_runtime;
  aborted.store(false, std::memory_order_relaxed);
  queued_ns = started_ns = finished_ns = 0;
  chip_tasks = 0;
  outcome = {};
  ended = false;
  awaited = false;
}

Result<void> check_launch(std::span<const troupe_run> runs, std::uint64_t last) {
  for (const auto& run : runs) {
    if (run.correlation <= last) {
      return Error(Errc::invalid_argument, "correlation " + std::to_string(run.correlation) +
                                               " does not rise above " + std::to_string(last));
    }
    last = run.correlation;
    if ((run.tensors == nullptr && run.tensor_count != 0) ||
        (run.scalars == nullptr && run.scalar_count != 0) ||
        (run.depends_on == nullptr && run.depends_count != 0)) {
      return Error(Errc::invalid_argument, "run " + std::to_string(run.correlation) + " has a null array");
    }
    if (run.tensor_count > runtime::limits::chip_tensors ||
        run.scalar_count > runtime::limits::chip_scalars) {
      return Error(Errc::invalid_argument, "run " + std::to_string(run.correlation) + " has " +
                                               std::to_string(run.tensor_count) + " tensors and " +
                                               std::to_string(run.scalar_count) + " scalars");
    }
  }
  return {};
}

}  // namespace troupe::platform::common

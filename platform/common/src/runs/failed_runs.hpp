#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>

#include "runs/run.hpp"

namespace troupe::platform::common {

/// The runs of a chip that failed, as long as others may be launched that depend on them: those are skipped.
/// Plain state; of the number 0, which nothing depends on, nothing is kept.
class FailedRuns {
 public:
  /// The host will launch nothing more that depends on a run before `run`.
  void settled(std::uint64_t run) { first_.erase(first_.begin(), first_.lower_bound(run)); }
  /// A run has ended; failures only are remembered.
  void ended(const Run& run) {
    if (run.outcome.ok() || run.correlation == 0) return;
    first_.emplace(run.correlation, run.outcome.caused_by != 0 ? run.outcome.caused_by : run.correlation);
  }
  /// How a run ends that depends on `run`; nothing: it may start, for all that is known here.
  std::optional<Outcome> skips(std::uint64_t run) const {
    const auto failure = first_.find(run);
    if (failure == first_.end()) return std::nullopt;
    Outcome outcome;
    outcome.code = TROUPE_DEVICE_POISONED;
    outcome.caused_by = failure->second;
    outcome.message = "skipped, because run " + std::to_string(failure->second) + " failed";
    return outcome;
  }
  bool empty() const noexcept { return first_.empty(); }

 private:
  std::map<std::uint64_t, std::uint64_t> first_;  ///< by run: the first failure behind it
};

}  // namespace troupe::platform::common

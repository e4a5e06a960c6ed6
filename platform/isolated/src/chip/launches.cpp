// Runs that the other side has taken, on the real library, which may refuse them.
#include <algorithm>
#include <array>

#include "chip/process.hpp"

namespace troupe::platform::isolation {

/// Of what the run depends on: which failure it is to be skipped for, as far as the library does not know of
/// it. 0: none.
std::uint64_t Process::failure_behind(const troupe_run& run) const {
  if (refused_.empty()) return 0;
  for (std::uint32_t i = 0; i < run.depends_count; ++i) {
    if (const auto found = refused_.find(run.depends_on[i]); found != refused_.end()) return found->second;
  }
  return 0;
}

/// The end of a run that the library has not got.
troupe_completion Process::end_of(const troupe_run& run, std::int32_t code, std::uint64_t caused_by) {
  refused_.emplace(run.correlation, caused_by != 0 ? caused_by : run.correlation);
  troupe_completion end{};
  end.correlation = run.correlation;
  end.code = code;
  end.caused_by = caused_by;
  end.queued_ns = end.finished_ns = threads_.now();
  return end;
}

/// The other side has taken them, so each of them ends: one that the library refuses, too, and what depends
/// on that.
void Process::launch_taken(std::span<const troupe_run> runs, bool is_graph, std::uint64_t settled) {
  refused_.erase(refused_.begin(), refused_.lower_bound(settled));
  const bool all_may_go =
      std::all_of(runs.begin(), runs.end(), [this](const auto& run) { return failure_behind(run) == 0; });
  if (all_may_go && launch_some(runs, is_graph, settled) == 0) return;
  for (const auto& run : runs) {
    troupe_completion end{};
    std::array<char, 1024> text{};
    std::string skipped;
    if (const auto failed = failure_behind(run); failed != 0) {
      end = end_of(run, TROUPE_DEVICE_POISONED, failed);
      skipped = "skipped, because run " + std::to_string(failed) + " failed";
      end.message = skipped.c_str();
    } else if (const auto code = launch_some({&run, 1}, is_graph, settled); code != 0) {
      (void)api_.device_last_error(context_, nullptr, text.data(), text.size());
      end = end_of(run, code, 0);
      end.message = text.data();
    } else {
      continue;
    }
    send_ends({&end, 1});
  }
}

/// As many as are launched together: kernels and programs, or one graph.
std::int32_t Process::launch_some(std::span<const troupe_run> runs, bool is_graph, std::uint64_t settled) {
  if (!is_graph) return api_.launch_runs(context_, runs.data(), runs.size(), settled);
  if (api_.launch_graph == nullptr) return TROUPE_DEVICE_UNSUPPORTED;
  return api_.launch_graph(context_, runs.data(), settled);
}

}  // namespace troupe::platform::isolation

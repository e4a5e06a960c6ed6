#include "runs/delivery.hpp"

#include <vector>

namespace troupe::platform::common {

troupe_completion completion_of(const Run& run) {
  return {.correlation = run.correlation,
          .code = run.outcome.code,
          .reserved0 = 0,
          .message = run.outcome.ok() ? nullptr : run.outcome.message.c_str(),
          .caused_by = run.outcome.caused_by,
          .queued_ns = run.queued_ns,
          .started_ns = run.started_ns,
          .finished_ns = run.finished_ns,
          .chip_tasks = run.chip_tasks,
          .reserved = {}};
}

void Delivery::deliver(std::span<const std::unique_ptr<Run>> runs) {
  std::vector<troupe_completion> completions;
  completions.reserve(runs.size());
  for (const auto& run : runs) completions.push_back(completion_of(*run));
  delivering_.store(std::this_thread::get_id());
  host_.complete(completions.data(), completions.size());
  delivering_.store(std::thread::id{});
}

}  // namespace troupe::platform::common

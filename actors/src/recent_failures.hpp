#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>

#include "tasks.hpp"
#include "troupe/actors/protocol.hpp"

namespace troupe::actors {

/// The tasks that failed lately on an executor, so that what follows them is skipped there: a dependent may
/// be on its way while the news of the failure travels the other way. `most`: twice as many as an executor
/// is sent before it has answered, which covers every dependent that can still come. Plain state.
class RecentFailures {
 public:
  explicit RecentFailures(std::size_t most) : most_(most) {}

  void add(const TaskKey& task) {
    latest_.push_back(task);
    if (latest_.size() > most_) latest_.pop_front();
  }
  /// Whether the task needs what one of them was to make.
  bool lead_to(const TaskRequest& task) const {
    return std::any_of(latest_.begin(), latest_.end(),
                       [&](const TaskKey& failed) { return follows(task, failed); });
  }
  void clear() { latest_.clear(); }

 private:
  std::size_t most_;
  std::deque<TaskKey> latest_;
};

}  // namespace troupe::actors

#pragma once

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "troupe/actors/submission.hpp"

namespace troupe::actors {

/// The deadlines of a run (`task` 0) and of its tasks, for an actor that has one timer: one of its own for
/// each task would stay set when the task has long ended. Plain state.
template <class TimePoint>
class Deadlines {
 public:
  void add(TaskNumber task, TimePoint due) { tasks_.emplace(due, task); }

  /// When to ask again; nothing: a timer is set for then, or for earlier, or there is nothing to wait for.
  /// `over(task)`: its deadline is of no interest any more.
  template <class Over>
  std::optional<TimePoint> timer(const Over& over) {
    while (!tasks_.empty() && over(tasks_.begin()->second)) tasks_.erase(tasks_.begin());
    if (tasks_.empty() || (timer_ && *timer_ <= tasks_.begin()->first)) return std::nullopt;
    timer_ = tasks_.begin()->first;
    return timer_;
  }
  /// A timer has fired: what is due.
  std::vector<TaskNumber> due(TimePoint now) {
    if (timer_ && *timer_ <= now) timer_.reset();
    std::vector<TaskNumber> list;
    while (!tasks_.empty() && tasks_.begin()->first <= now) {
      list.push_back(tasks_.begin()->second);
      tasks_.erase(tasks_.begin());
    }
    return list;
  }
  void clear() { tasks_.clear(); }
  std::size_t size() const { return tasks_.size(); }

 private:
  std::multimap<TimePoint, TaskNumber> tasks_;
  std::optional<TimePoint> timer_;  ///< the earliest that is set
};

}  // namespace troupe::actors

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "troupe/actors/protocol.hpp"

namespace troupe::actors {

/// In-order dispatch: which tasks of a run are queued on which executor, so that what depends on them alone
/// can be sent behind them before they have ended. Says what such a follower has to follow, and how many may
/// still join. Plain state.
class TROUPE_API InOrderQueues {
 public:
  /// A queue is kept full, not longer.
  static constexpr std::uint32_t max_queued = 256;

  /// The task is queued there, and others may follow it.
  void join(std::int32_t executor, TaskNumber task);
  /// It is not any more. `done`: it has run, and well.
  void leave(std::int32_t executor, TaskNumber task, bool done);

  /// What a task that joins now has to follow, in ascending order. The graph says "everything it needs is
  /// queued there", not what: so that is all that is. `is_followed`: those after it follow the task, and need
  /// not follow these. `visit_queued(visit)`: calls `visit(task)` for all that are queued there, in their
  /// order.
  template <class VisitQueued>
  std::vector<TaskNumber> to_follow(std::int32_t executor, bool is_followed, VisitQueued visit_queued);

  enum class Joined : std::uint8_t {
    one,   ///< a follower has joined
    none,  ///< there is none for this queue
    full,  ///< the run has enough under way
  };
  /// Calls `join_next(executor)` wherever something has joined or left since, until it answers otherwise than
  /// `one` or the queue is full. `only`: an executor where all followers go; elsewhere each task takes one
  /// along, so that a chain stays where it is and a fan-out goes to all.
  template <class JoinNext>
  void follow(std::int32_t only, JoinNext join_next);

 private:
  struct Queue {
    /// What a task that joins next has to follow, from `first` on.
    std::vector<TaskNumber> follow;
    std::size_t first = 0;
    std::uint32_t load = 0;    ///< tasks there
    std::uint32_t budget = 0;  ///< followers it may still take along
    bool listed = false;       ///< in moving_
    bool torn = false;         ///< `follow` may lack some: a task left without having run
  };

  Queue& at(std::int32_t executor) { return queues_[static_cast<std::size_t>(executor)]; }
  void list(Queue& queue, std::int32_t executor) {
    if (queue.listed) return;
    queue.listed = true;
    moving_.push_back(executor);
  }

  std::vector<Queue> queues_;         ///< by executor
  std::vector<std::int32_t> moving_;  ///< where dependents may join
};

template <class VisitQueued>
std::vector<TaskNumber> InOrderQueues::to_follow(std::int32_t executor, bool is_followed,
                                                 VisitQueued visit_queued) {
  auto& queue = at(executor);
  if (queue.torn) {
    // What followed others has left the queue before them: nobody may rely on it to follow them.
    queue.torn = false;
    queue.follow.clear();
    queue.first = 0;
    visit_queued([&queue](TaskNumber task) { queue.follow.push_back(task); });
  }
  std::vector<TaskNumber> tasks(queue.follow.begin() + static_cast<std::ptrdiff_t>(queue.first),
                                queue.follow.end());
  std::sort(tasks.begin(), tasks.end());
  if (is_followed) {
    queue.follow.clear();
    queue.first = 0;
  }
  return tasks;
}

template <class JoinNext>
void InOrderQueues::follow(std::int32_t only, JoinNext join_next) {
  for (std::size_t i = 0; i < moving_.size(); ++i) {
    const auto executor = moving_[i];
    const auto takes_more = [&](const Queue& queue) {
      return queue.load < max_queued && (executor == only || queue.budget > 0);
    };
    while (takes_more(at(executor))) {
      const auto joined = join_next(executor);
      auto& budget = at(executor).budget;
      if (joined == Joined::none) budget = 0;
      if (joined != Joined::one) break;
      if (budget > 0) --budget;
    }
    at(executor).listed = false;
  }
  moving_.clear();
}

}  // namespace troupe::actors

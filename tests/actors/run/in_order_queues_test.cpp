// Which tasks follow which on an executor, call by call.
#include "run/in_order_queues.hpp"

#include <doctest/doctest.h>

using namespace troupe::actors;
using Joined = InOrderQueues::Joined;

namespace {

using Tasks = std::vector<TaskNumber>;

/// `queued`: what a run knows to be queued there.
Tasks next(InOrderQueues& queues, bool is_followed = true, const Tasks& queued = {}) {
  return queues.to_follow(2, is_followed, [&](auto visit) {
    for (const auto task : queued) visit(task);
  });
}

/// How many join where there are so many that could.
int joined(InOrderQueues& queues, int there_are, std::int32_t only = -1) {
  int count = 0;
  queues.follow(only, [&](std::int32_t executor) {
    if (count == there_are) return Joined::none;
    queues.join(executor, static_cast<TaskNumber>(100 + count++));
    return Joined::one;
  });
  return count;
}

}  // namespace

TEST_CASE("in a chain each task follows the one before it, and no other") {
  InOrderQueues queues;
  queues.join(2, 7);
  CHECK(next(queues) == Tasks{7});
  queues.join(2, 8);
  CHECK(next(queues) == Tasks{8});
}

TEST_CASE("behind a task that nobody may rely on, the ones before it are followed, too") {
  InOrderQueues queues;
  queues.join(2, 7);
  queues.join(2, 5);
  CHECK(next(queues, false) == Tasks{5, 7});
  CHECK(next(queues) == Tasks{5, 7});
  CHECK(next(queues).empty());
}

TEST_CASE("what has ended well is not followed any more") {
  InOrderQueues queues;
  for (const TaskNumber task : {1, 2, 3}) queues.join(2, task);
  queues.leave(2, 1, true);
  CHECK(next(queues, false) == Tasks{2, 3});
  queues.leave(2, 3, true);
  CHECK(next(queues, false) == Tasks{2});
}

TEST_CASE(
    "when a task has left without having run, all that are queued are followed: its followers left, too") {
  InOrderQueues queues;
  queues.join(2, 1);
  CHECK(next(queues) == Tasks{1});
  queues.join(2, 2);  // follows 1, which others do not have to follow any more
  queues.join(2, 3);
  CHECK(next(queues) == Tasks{2, 3});
  queues.join(2, 4);
  queues.leave(2, 4, false);
  CHECK(next(queues, true, {1, 2, 3}) == Tasks{1, 2, 3});
  CHECK(next(queues).empty());
}

TEST_CASE("each task takes one follower along, so that a fan-out goes to all executors") {
  InOrderQueues queues;
  queues.join(2, 1);
  CHECK(joined(queues, 1) == 1);
  queues.join(2, 5);
  queues.join(2, 6);
  CHECK(joined(queues, 0) == 0);  // none was there: what they might have taken along is forgotten
  queues.leave(2, 5, true);
  CHECK(joined(queues, 3) == 0);
}

TEST_CASE("where all followers go, they join until the queue is full") {
  InOrderQueues queues;
  queues.join(2, 1);
  CHECK(joined(queues, 1000, 2) == static_cast<int>(InOrderQueues::max_queued) - 1);
  queues.leave(2, 1, true);
  CHECK(joined(queues, 1000, 2) == 1);
}

TEST_CASE("a run that has enough under way goes on later, where it was") {
  InOrderQueues queues;
  queues.join(2, 1);
  queues.follow(-1, [](std::int32_t) { return Joined::full; });
  queues.join(2, 2);  // something moves there again
  CHECK(joined(queues, 2) == 2);
}

// What a run remembers grew without end: two runs that took turns on a buffer each kept it once more with
// every submit, and errors of failed tasks were kept for ever and searched, all of them, at each await.
//
// Promised now: a run keeps a buffer once. Of failures that its program has handled it keeps the errors of
// the latest few thousand; of earlier ones it still knows that they failed.
#include <doctest/doctest.h>

#include "run/known_failures.hpp"
#include "run/state.hpp"
#include "troupe/actors/errc.hpp"

using namespace troupe;
using namespace troupe::actors;

namespace {

Error ghost(int number) { return {Errc::task_failed, "ghost " + std::to_string(number)}; }

}  // namespace

TEST_CASE("a run that is told again and again to keep a buffer keeps it once") {
  RunState run({});
  auto hold = std::make_shared<BufferHold>(), other = std::make_shared<BufferHold>();
  for (int i = 0; i < 1000; ++i) {
    Submit submit;
    submit.holds = {hold, other, hold};
    run.submit(submit);
  }
  CHECK(run.memory().kept() == 2);
  CHECK(hold.use_count() == 2);
}

TEST_CASE("of handled failures the latest are remembered whole, the others only as failures") {
  KnownFailures failures;
  const auto many = static_cast<TaskNumber>(3 * KnownFailures::remembered);
  for (TaskNumber task = 1; task <= many; ++task) {
    failures.add(2 * task, {}, ghost(static_cast<int>(task)), false);
    const auto error = failures.await(2 * task, 2 * task);
    REQUIRE(error);
    CHECK(error->message() == "ghost " + std::to_string(task));
  }
  CHECK(failures.kept() == KnownFailures::remembered);
  CHECK(failures.await(2 * many, 2 * many)->message() == "ghost " + std::to_string(many));
  const auto old = failures.await(2, 2 * many);
  REQUIRE(old);
  CHECK(*old == Errc::task_failed);
  CHECK(old->message() == "task 2 failed");
  CHECK_FALSE(failures.await(3, 2 * many));
  CHECK_FALSE(failures.first_unknown());
}

TEST_CASE("a failure that nobody handled is never forgotten, whatever fails after it") {
  KnownFailures failures;
  failures.add(1, {}, ghost(1), false);
  const auto many = static_cast<TaskNumber>(2 * KnownFailures::remembered);
  for (TaskNumber task = 2; task <= many; ++task) {
    failures.add(task, {}, ghost(2), false);
    (void)failures.await(task, task);
  }
  REQUIRE(failures.first_unknown());
  CHECK(failures.first_unknown()->message() == "ghost 1");
  CHECK(failures.await(1, many)->message() == "ghost 1");
}

TEST_CASE("who awaits one failure knows of all that have the same root, poisoned ones lead there too") {
  KnownFailures failures;
  const auto cause = ghost(0);
  failures.add(1, {}, Error(Errc::chip_lost, "one").caused_by(cause), false);
  failures.add(2, {}, Error(Errc::chip_lost, "two").caused_by(cause), false);
  failures.add(3, {}, ghost(3), false);
  failures.add(4, {}, Error(Errc::poisoned, "four").caused_by(cause), true);
  CHECK(failures.await(4, 4)->message() == "four");
  REQUIRE(failures.first_unknown());
  CHECK(failures.first_unknown()->message() == "ghost 3");
  CHECK_FALSE(failures.await_all(2, 4));
  CHECK(failures.await_all(3, 4)->message() == "ghost 3");
  CHECK_FALSE(failures.await_all(4, 4));
}

TEST_CASE(
    "a task that is submitted after a failure is known, and cannot run because of it, is told by itself") {
  KnownFailures failures;
  const auto cause = ghost(0);
  const auto poisoned = [&](const char* name) { return Error(Errc::poisoned, name).caused_by(cause); };
  failures.add(1, {}, Error(Errc::task_failed, "one").caused_by(cause), false);
  failures.add(2, {}, poisoned("two"), true);
  REQUIRE(failures.await(2, 3));
  failures.add(3, {}, poisoned("three"), true);  // it was on its way already
  CHECK_FALSE(failures.first_unknown());
  failures.add(4, {}, poisoned("four"), true);
  REQUIRE(failures.first_unknown());
  CHECK(failures.first_unknown()->message() == "four");
  // It is handled as any other.
  CHECK(failures.await(4, 5)->message() == "four");
  CHECK_FALSE(failures.first_unknown());
  failures.add(5, {}, poisoned("five"), true);
  CHECK(failures.await_all(5, 5)->message() == "five");
  // A program that goes on in this way for ever keeps no more than others.
  const auto many = static_cast<TaskNumber>(3 * KnownFailures::remembered);
  for (TaskNumber task = 6; task <= many; ++task) {
    failures.add(task, {}, poisoned("more"), true);
    REQUIRE(failures.await(task, task));
  }
  CHECK(failures.kept() <= KnownFailures::remembered);
}

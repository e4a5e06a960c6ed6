// Which run of a worker begins, and when.
#include "worker/admission.hpp"

#include <doctest/doctest.h>

#include "troupe/actors/errc.hpp"

using namespace troupe::actors;
using troupe::Error;

namespace {

Admission::Waiting waiting(std::string name, std::int8_t priority = 0) {
  Admission::Waiting made;
  made.open.name = std::move(name);
  made.open.priority = priority;
  made.open.outcome = std::make_shared<RunOutcome>();
  return made;
}

Admission::Waiting task_of_above(RunId run, TaskNumber task) {
  auto made = waiting("task " + std::to_string(task));
  made.request.emplace();
  made.request->key = {run, task, 0, 0};
  return made;
}

struct Bench {
  Admission admission;
  RunId last = 0;
  explicit Bench(Count places) : admission(places) {}
  /// Names of those that begin now.
  std::string begin() {
    std::string names;
    while (auto next = admission.next()) {
      names += (names.empty() ? "" : " ") + next->open.name;
      admission.begin(++last, {{}, {}, next->open.outcome, next->open.name, std::move(next->request)});
    }
    return names;
  }
};

}  // namespace

TEST_CASE("runs begin in the order they came, as many at once as there are places") {
  Bench bench(2);
  for (const char* name : {"a", "b", "c", "d"}) bench.admission.wait(waiting(name));
  CHECK(bench.begin() == "a b");
  CHECK(bench.admission.queued() == 2);
  CHECK(bench.admission.end(1)->name == "a");
  CHECK(bench.begin() == "c");
  CHECK(bench.admission.active().size() == 2);
}

TEST_CASE("the highest priority begins first, and first come, first served within one") {
  Bench bench(1);
  bench.admission.wait(waiting("low", -1));
  bench.admission.wait(waiting("first", 3));
  bench.admission.wait(waiting("second", 3));
  CHECK(bench.begin() == "first");
  (void)bench.admission.end(1);
  CHECK(bench.begin() == "second");
  (void)bench.admission.end(2);
  CHECK(bench.begin() == "low");
}

TEST_CASE("a run that was given up while it waited takes no place and counts for nothing") {
  Bench bench(1);
  auto given_up = waiting("given up");
  const auto outcome = given_up.open.outcome;
  bench.admission.wait(std::move(given_up));
  bench.admission.wait(waiting("next"));
  outcome->set({.error = Error(Errc::cancelled, "not wanted")});
  CHECK(bench.admission.queued() == 1);
  CHECK(bench.begin() == "next");
}

TEST_CASE("a run that ends before it began waits no more") {
  Bench bench(1);
  auto known = waiting("known");
  known.id = 7;
  bench.admission.wait(std::move(known));
  bench.admission.wait(waiting("other"));
  CHECK_FALSE(bench.admission.end(7));
  CHECK(bench.begin() == "other");
  CHECK(bench.admission.queued() == 0);
}

TEST_CASE("programs of the level above are found by its task, under way or waiting") {
  Bench bench(1);
  bench.admission.wait(task_of_above(5, 1));
  bench.admission.wait(task_of_above(5, 2));
  CHECK(bench.begin() == "task 1");
  REQUIRE(bench.admission.active_for(5, 1) != nullptr);
  CHECK(bench.admission.active_for(5, 1)->first == 1);
  CHECK(bench.admission.active_for(5, 2) == nullptr);
  CHECK(bench.admission.active_for(6, 1) == nullptr);
  REQUIRE(bench.admission.waiting_for(5, 2) != nullptr);
  CHECK(bench.admission.waiting_for(5, 1) == nullptr);
}

TEST_CASE("what the level above takes back waits no more, or is told") {
  Bench bench(1);
  for (TaskNumber task = 1; task <= 3; ++task) bench.admission.wait(task_of_above(5, task));
  bench.admission.wait(task_of_above(6, 1));
  bench.admission.wait(waiting("of this node"));
  CHECK(bench.begin() == "task 1");
  SUBCASE("one task") {
    const auto cancelled = bench.admission.cancel({5, 3});
    CHECK(cancelled.active.empty());
    REQUIRE(cancelled.waiting.size() == 1);
    CHECK(cancelled.waiting[0].request->key.task == 3);
    CHECK(bench.admission.queued() == 3);
  }
  SUBCASE("all of a run") {
    const auto cancelled = bench.admission.cancel({5, 0});
    REQUIRE(cancelled.active.size() == 1);
    CHECK(cancelled.active[0]->name == "task 1");
    CHECK(cancelled.waiting.size() == 2);
    CHECK(bench.admission.queued() == 2);
    // Who was told ends by itself.
    CHECK(bench.admission.find(1) != nullptr);
  }
}

TEST_CASE("when all is given up nobody waits, and what is under way stays") {
  Bench bench(1);
  bench.admission.wait(waiting("a"));
  bench.admission.wait(waiting("b"));
  CHECK(bench.begin() == "a");
  CHECK(bench.admission.give_up().size() == 1);
  CHECK(bench.admission.queued() == 0);
  CHECK(bench.admission.find(1) != nullptr);
}

#include <doctest/doctest.h>

#include "runtime/graph/fixture.hpp"

namespace {

using namespace troupe::runtime;
using namespace troupe::test;
using Ids = std::vector<TaskId>;

TEST_CASE_FIXTURE(GraphFixture, "a failed task poisons who needs its result, and no one else") {  // defect 11
  const TaskId produce = task("produce", {on(0, Tag::in), on(1, Tag::out)});
  const TaskId consume = task("consume", {on(1, Tag::in), on(2, Tag::out)});
  const TaskId far = task("far", {on(2, Tag::in)});
  const TaskId beside = task("beside", {on(3, Tag::out)});
  const TaskId overwrite_input = task("overwrite_input", {on(0, Tag::out)});  // WAR
  const TaskId overwrite = task("overwrite", {on(1, Tag::out)});              // WAW, every byte
  const TaskId fresh = task("fresh", {on(1, Tag::in)});
  CHECK(pop_all() == Ids{produce, beside});
  graph.fail(produce, broken());
  CHECK(pop_all() == Ids{overwrite_input, overwrite});
  const auto first = graph.pop_ended(), second = graph.pop_ended();
  REQUIRE(first);
  REQUIRE(second);
  CHECK(first->id == consume);
  CHECK(second->id == far);
  CHECK(*first->error == Errc::poisoned);
  CHECK(second->error->root() == Broken::kernel);
  CHECK(second->error->message().find("\"far\"") != std::string::npos);
  CHECK(second->error->message().find("\"consume\"") != std::string::npos);
  graph.complete(overwrite);
  CHECK(pop_all() == Ids{fresh});
}

TEST_CASE_FIXTURE(GraphFixture, "who is submitted after the failure is poisoned the same") {
  const TaskId produce = task("produce", {on(0, Tag::out)});
  pop_all();
  graph.fail(produce, broken());
  for (int i = 0; i < 20'000; ++i) {  // much else happens, the memory of the failure stays
    const TaskId id = task("other", {on(static_cast<std::uint64_t>(i) + 10, Tag::out)});
    pop_all();
    graph.complete(id);
  }
  const TaskId late = task("late", {on(0, Tag::inout)});
  CHECK(graph.pop_ended()->id == late);
  CHECK(graph.settled(on(0, Tag::in)).error() == Errc::poisoned);
  task("repair", {on(0, Tag::out)});
  run_all();
  CHECK(*graph.settled(on(0, Tag::in)));
  task("good", {on(0, Tag::in)});
  CHECK(graph.ready_count(0) == 1);
}

TEST_CASE_FIXTURE(GraphFixture, "a place of another generation is other memory") {
  const auto of = [](std::uint32_t generation, Tag tag) { return on({7, generation, 4096}, bytes, tag); };
  SUBCASE("tasks on the two do not depend") {
    const TaskId old = task("old", {of(1, Tag::out)});
    const TaskId fresh = task("fresh", {of(2, Tag::inout)});
    CHECK(pop_all() == Ids{old, fresh});
    CHECK_FALSE(*graph.settled(of(1, Tag::in)));
    graph.complete(fresh);
    CHECK(*graph.settled(of(2, Tag::in)));
    CHECK_FALSE(*graph.settled(of(1, Tag::in)));
  }
  SUBCASE("what failed in the old one does not poison the new one") {
    const TaskId produce = task("produce", {of(1, Tag::out)});
    pop_all();
    graph.fail(produce, broken());
    const TaskId fresh = task("fresh", {of(2, Tag::inout)});
    const TaskId after = task("after", {of(2, Tag::in)});
    CHECK(pop_all() == Ids{fresh});
    graph.complete(fresh);
    CHECK(pop_all() == Ids{after});
    CHECK(graph.settled(of(1, Tag::in)).error() == Errc::poisoned);
  }
}

TEST_CASE_FIXTURE(GraphFixture,
                  "bytes that were written again are good, the rest of a failed buffer is not") {
  const TaskId zero = task("zero", {on(0, Tag::out)});
  const auto part = [](std::uint64_t lo, std::uint64_t hi, Tag tag) {
    return Access::range({1, 0, 0}, bytes, lo, hi, tag);
  };
  pop_all();
  graph.fail(zero, broken());
  task("tile", {part(0, 64, Tag::out)});
  run_all();
  task("inside", {part(8, 16, Tag::in)});
  CHECK(graph.ready_count(0) == 1);
  const TaskId outside = task("outside", {part(60, 70, Tag::in)});
  CHECK(graph.pop_ended()->id == outside);
}

TEST_CASE_FIXTURE(GraphFixture, "a poisoned task still keeps the order of those before and after it") {
  const TaskId slow = task("slow", {on(0, Tag::inout)});
  const TaskId bad = task("bad", {on(1, Tag::out)});
  const TaskId both = task("both", {on(0, Tag::inout), on(1, Tag::in)});
  const TaskId next = task("next", {on(0, Tag::out)});
  pop_all();
  graph.fail(bad, broken());
  CHECK_FALSE(graph.pop_ended());
  CHECK(pop_all().empty());  // `slow` still writes what `next` will write
  graph.complete(slow);
  CHECK(graph.pop_ended()->id == both);
  CHECK(pop_all() == Ids{next});
}

TEST_CASE_FIXTURE(GraphFixture,
                  "cancelling a task ends it and poisons what needs it, and running ones are left alone") {
  const TaskId run = task("run", {on(0, Tag::out)});
  const TaskId wait = task("wait", {on(0, Tag::inout)});
  const TaskId need = task("need", {on(0, Tag::in)});
  pop_all();
  CHECK_FALSE(graph.cancel(run, broken("enough")));
  CHECK(graph.cancel(wait, broken("enough")));
  CHECK_FALSE(graph.pop_ended());
  graph.complete(run);
  CHECK(*graph.pop_ended()->error == Errc::cancelled);
  const auto ended = graph.pop_ended();
  CHECK(ended->id == need);
  CHECK(ended->error->root().message() == "enough");
  CHECK(graph.status().cancelled == 1);
}

TEST_CASE_FIXTURE(GraphFixture, "cancelling a graph ends all but the running tasks and refuses new ones") {
  const TaskId run = task("run", {on(0, Tag::out)});
  pop_all();
  for (std::uint64_t i = 0; i < 50; ++i) task("rest", {on(i % 3, Tag::inout)});
  const TaskId held = graph.submit({.name = "held", .events = 2}).value();
  graph.cancel_all(broken("enough"));
  CHECK(graph.state(held) == TaskState::none);
  CHECK(graph.submit({.name = "new"}).error() == Errc::cancelled);
  CHECK(graph.status().running == 1);
  graph.complete(run);
  CHECK(graph.status().live == 0);
  CHECK(graph.status().cancelled == 51);
  CHECK_FALSE(graph.deadlock());
}

TEST_CASE_FIXTURE(GraphFixture,
                  "poison travels a hundred thousand tasks without recursion, with a short cause chain") {
  const TaskId first = task("first", {on(0, Tag::out)});
  for (int i = 0; i < 100'000; ++i) task("link", {on(0, Tag::inout)});
  pop_all();
  graph.fail(first, broken());
  CHECK(graph.status().poisoned == 100'000);
  std::optional<Ended> last;
  while (auto ended = graph.pop_ended()) last = std::move(ended);
  int links = 0;
  for (const troupe::Error* e = &*last->error; e != nullptr; e = e->cause()) ++links;
  CHECK(links <= 10);
  CHECK(last->error->root() == Broken::kernel);
}

TEST_CASE_FIXTURE(GraphFixture, "a chain is queued in order on one executor at once") {
  const TaskId a = task("a", {on(0, Tag::out)});
  const TaskId b = task("b", {on(0, Tag::inout)});
  const TaskId c = task("c", {on(0, Tag::inout)});
  REQUIRE(graph.pop_ready(0).id == a);
  CHECK_FALSE(graph.pop_in_order(3));
  REQUIRE(graph.dispatched(a, 3));
  CHECK_FALSE(graph.pop_in_order(2));
  REQUIRE(graph.pop_in_order(3).id == b);
  CHECK(graph.state(b) == TaskState::running);
  REQUIRE(graph.dispatched(b, 3));
  REQUIRE(graph.pop_in_order(3).id == c);
  REQUIRE(graph.dispatched(c, 3));
  const TaskId late = task("late", {on(0, Tag::in)});  // submitted while its producers are queued
  CHECK(graph.pop_in_order(3).id == late);
  CHECK(graph.why(b).find("queued behind 1 task: \"a\" (running on executor 3)") != std::string::npos);
  const std::vector<std::string> named{"chip0", "chip1", "chip2", "chip3"};
  CHECK(graph.why(b, named).find("queued behind 1 task: \"a\" (running on chip3)") != std::string::npos);
  for (const TaskId id : {a, b, c, late}) CHECK(graph.complete(id));
  CHECK(graph.status().completed == 4);
}

TEST_CASE_FIXTURE(GraphFixture, "a join of two executors is offered to the one that still holds producers") {
  const TaskId left = task("left", {on(0, Tag::out)}), right = task("right", {on(1, Tag::out)});
  const TaskId join = task("join", {on(0, Tag::in), on(1, Tag::in)});
  pop_all();
  graph.dispatched(left, 1);
  graph.dispatched(right, 2);
  CHECK_FALSE(graph.pop_in_order(1));
  CHECK_FALSE(graph.pop_in_order(2));
  graph.complete(left);
  CHECK(graph.pop_in_order(2).id == join);
}

TEST_CASE_FIXTURE(GraphFixture, "when a producer fails, its successors in the queue are poisoned, not lost") {
  const TaskId a = task("a", {on(0, Tag::out)}), b = task("b", {on(0, Tag::inout)});
  const TaskId c = task("c", {on(0, Tag::in)});
  pop_all();
  graph.dispatched(a, 0);
  REQUIRE(graph.pop_in_order(0).id == b);
  graph.dispatched(b, 0);
  graph.fail(a, broken());
  CHECK(graph.is_poisoned(b));
  CHECK_FALSE(graph.pop_ended());  // the executor still has to let go of it
  CHECK(graph.complete(b));
  CHECK(graph.error(b) == Errc::poisoned);
  CHECK(graph.pop_ended()->id == c);
  CHECK(graph.status().poisoned == 2);
}

TEST_CASE_FIXTURE(GraphFixture, "a lost executor's tasks are put back and run elsewhere") {
  const TaskId a = task("a", {on(0, Tag::out)}), b = task("b", {on(0, Tag::inout)});
  pop_all();
  graph.dispatched(a, 0);
  REQUIRE(graph.pop_in_order(0).id == b);
  graph.dispatched(b, 0);
  CHECK(graph.requeue(a));
  CHECK(graph.requeue(b));
  CHECK(graph.state(b) == TaskState::pending);
  REQUIRE(graph.pop_ready(0).id == a);
  graph.dispatched(a, 1);
  CHECK(graph.pop_in_order(1).id == b);
  graph.complete(a);
  graph.complete(b);
  CHECK(graph.status().completed == 2);
}

TEST_CASE_FIXTURE(GraphFixture, "the successor on a chain is handed to who completed its producer") {
  const TaskId a = task("a", {on(0, Tag::out)}), b = task("b", {on(0, Tag::inout)});
  pop_all();
  CHECK(graph.complete_and_pop(a).id == b);
  CHECK(graph.state(b) == TaskState::running);
  CHECK_FALSE(graph.complete_and_pop(b));
  CHECK(graph.status().live == 0);
}

}  // namespace

#include "troupe/runtime/task_graph.hpp"

#include <doctest/doctest.h>

#include "runtime/graph/fixture.hpp"

namespace {

using namespace troupe::runtime;
using namespace troupe::test;
using Ids = std::vector<TaskId>;

TEST_CASE_FIXTURE(GraphFixture, "readers wait for the writer, the next writer waits for all of them") {
  const TaskId write = task("write", {on(0, Tag::out)});
  const TaskId left = task("left", {on(0, Tag::in)});
  const TaskId right = task("right", {on(0, Tag::in)});
  const TaskId again = task("again", {on(0, Tag::out_existing)});
  CHECK(pop_all() == Ids{write});
  graph.complete(write);
  CHECK(pop_all() == Ids{left, right});
  graph.complete(left);
  CHECK(pop_all().empty());  // WAR, and not only against the last reader
  graph.complete(right);
  CHECK(pop_all() == Ids{again});
}

TEST_CASE_FIXTURE(GraphFixture,
                  "a writer waits for every reader that lives, however many there are and were") {
  std::uint64_t buffer = 0;
  for (const std::size_t readers : {1U, 2U, 7U, 8U, 9U, 10U, 15U, 16U, 17U, 24U, 40U, 200U}) {
    for (const std::size_t stay : {1U, 2U, 5U}) {  // every stay-th one lives when the next half comes
      CAPTURE(readers);
      CAPTURE(stay);
      ++buffer;
      Ids live;
      for (int half = 0; half < 2; ++half) {
        for (std::size_t i = 0; i < readers; ++i) {
          const TaskId reader = task("reader", {on(buffer, Tag::in), on(buffer, Tag::in)});
          CHECK(pop_all() == Ids{reader});
          if (i % stay == 0) {
            live.push_back(reader);
          } else {
            graph.complete(reader);
          }
        }
      }
      const TaskId writer = task("writer", {on(buffer, Tag::out)});
      for (const TaskId reader : live) {
        CHECK(graph.state(writer) == TaskState::pending);
        graph.complete(reader);
      }
      CHECK(pop_all() == Ids{writer});
      const TaskId next = task("next", {on(buffer, Tag::out)});  // the readers of before concern nobody now
      graph.complete(writer);
      CHECK(pop_all() == Ids{next});
      graph.complete(next);
    }
  }
}

TEST_CASE_FIXTURE(GraphFixture, "out_existing waits for the previous writer, no_dep for no one") {
  const TaskId first = task("first", {on(0, Tag::out)});
  task("second", {on(0, Tag::out_existing)});
  const TaskId free = task("free", {on(0, Tag::no_dep)});
  CHECK(pop_all() == Ids{first, free});
}

TEST_CASE_FIXTURE(GraphFixture,
                  "a task that names one buffer many times depends on others once and never on itself") {
  const TaskId first = task("first", {on(0, Tag::out)});
  const TaskId twice =
      task("twice", {on(0, Tag::in), on(0, Tag::inout), on(0, Tag::in), on(0, Tag::out)}, {first, first});
  CHECK(pop_all() == Ids{first});
  graph.complete(first);
  CHECK(pop_all() == Ids{twice});
  CHECK(graph.complete(twice));
  CHECK(graph.status().live == 0);
}

TEST_CASE_FIXTURE(GraphFixture,
                  "no producer is forgotten, however many there are") {  // defect 12: 16 were kept
  std::vector<Access> tiles;
  const TaskId start = task("start", {on(0, Tag::out)});
  for (std::uint64_t t = 0; t < 100; ++t) {
    tiles.push_back(Access::range({1, 0, 0}, bytes, t * 10, t * 10 + 10, Tag::inout));
    REQUIRE(graph.submit({.accesses = std::span(&tiles.back(), 1)}));
  }
  const TaskId all = task("all", {on(0, Tag::in)});
  CHECK(pop_all() == Ids{start});
  graph.complete(start);
  const Ids running = pop_all();
  CHECK(running.size() == 100);
  for (const TaskId id : running) {
    CHECK(graph.state(all) == TaskState::pending);
    graph.complete(id);
  }
  CHECK(pop_all() == Ids{all});
}

TEST_CASE_FIXTURE(GraphFixture, "tensors that overlap in memory depend, wherever their references begin") {
  const TaskId low = graph.submit({.accesses = list({Access::whole({1, 0, 0}, 100, Tag::out)})}).value();
  const TaskId high = graph.submit({.accesses = list({Access::whole({1, 0, 200}, 100, Tag::out)})}).value();
  const TaskId across = graph.submit({.accesses = list({Access::whole({1, 0, 99}, 102, Tag::in)})}).value();
  const TaskId between = graph.submit({.accesses = list({Access::whole({1, 0, 100}, 100, Tag::in)})}).value();
  const TaskId elsewhere =
      graph.submit({.accesses = list({Access::whole({2, 0, 0}, 100, Tag::out)})}).value();
  CHECK(pop_all() == Ids{low, high, between, elsewhere});
  graph.complete(low);
  CHECK(graph.state(across) == TaskState::pending);
  graph.complete(high);
  CHECK(pop_all() == Ids{across});
}

TEST_CASE_FIXTURE(GraphFixture, "an old slow task does not keep newer slots from being used again") {
  TaskGraph small({.task_window = 4});
  const TaskId slow = small.submit({.name = "slow", .accesses = list({on(0, Tag::out)})}).value();
  REQUIRE(small.pop_ready(0).id == slow);
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(small.submit({.accesses = list({on(1, Tag::inout)})}));
    REQUIRE(small.complete(small.pop_ready(0).id));
  }
  for (int i = 0; i < 3; ++i) REQUIRE(small.submit({.accesses = list({on(1, Tag::inout)})}));
  CHECK_FALSE(small.has_room());
  const auto refused = small.submit({.name = "more"});
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == Errc::would_block);
  CHECK(small.status().live == 4);  // defect 6: a refused submit leaves nothing behind
  CHECK(small.complete(slow));
  CHECK(small.submit({.name = "more"}));
}

TEST_CASE_FIXTURE(GraphFixture, "kinds never block each other, and priority goes first within one") {
  for (int i = 0; i < 3; ++i) REQUIRE(graph.submit({.name = "chip", .kind = 0}));
  const TaskId urgent = graph.submit({.name = "urgent", .kind = 0, .priority = 5}).value();
  const TaskId sub = graph.submit({.name = "sub", .kind = 1}).value();
  const TaskId later = graph.submit({.name = "later", .kind = 0, .priority = -5}).value();
  CHECK(pop_all(1) == Ids{sub});
  const Ids order = pop_all(0);
  REQUIRE(order.size() == 5);
  CHECK(order.front() == urgent);
  CHECK(order.back() == later);
}

TEST_CASE_FIXTURE(GraphFixture, "a group ends when its last member has ended, with its first error") {
  const TaskId group =
      graph.submit({.name = "group", .members = 3, .accesses = list({on(0, Tag::out)})}).value();
  const TaskId reader = task("reader", {on(0, Tag::in)});
  pop_all();
  CHECK(graph.complete(group));
  CHECK(graph.fail(group, broken("first")));
  CHECK(graph.state(reader) == TaskState::pending);
  CHECK(graph.fail(group, broken("second")));
  CHECK_FALSE(graph.complete(group));  // defect 7: an answer too many does no harm
  CHECK(graph.error(group)->message() == "first");
  CHECK(graph.pop_ended()->id == reader);
  CHECK(graph.status().failed == 1);
}

TEST_CASE_FIXTURE(GraphFixture, "a node without work ends by itself and is reported") {
  const TaskId work = task("work", {on(0, Tag::out)});
  const TaskId node =
      graph.submit({.cookie = 42, .node_only = true, .accesses = list({on(0, Tag::in)})}).value();
  CHECK_FALSE(graph.pop_ended());
  pop_all();
  graph.complete(work);
  const auto ended = graph.pop_ended();
  REQUIRE(ended);
  CHECK(ended->id == node);
  CHECK(ended->cookie == 42);
  CHECK_FALSE(ended->error);
}

TEST_CASE_FIXTURE(GraphFixture, "settled() says whether bytes may be touched from outside") {
  const TaskId write = task("write", {on(0, Tag::out)});
  const TaskId read = task("read", {on(0, Tag::in)});
  CHECK_FALSE(*graph.settled(on(0, Tag::in)));
  pop_all();
  graph.complete(write);
  CHECK(*graph.settled(on(0, Tag::in)));
  CHECK_FALSE(*graph.settled(on(0, Tag::inout)));
  CHECK(*graph.settled(on(1, Tag::inout)));
  pop_all();
  graph.fail(read, broken());
  CHECK(*graph.settled(on(0, Tag::inout)));
}

TEST_CASE_FIXTURE(GraphFixture,
                  "is_free() says whether a task would wait for nobody, and never a wrong yes") {
  const auto free = [&](std::initializer_list<Access> accesses) { return graph.is_free(list(accesses)); };
  CHECK(free({on(0, Tag::inout), on(1, Tag::in)}));
  const TaskId write = task("write", {on(0, Tag::out)});
  const TaskId read = task("read", {on(0, Tag::in), on(2, Tag::in)});
  CHECK_FALSE(free({on(0, Tag::in)}));
  CHECK_FALSE(free({on(1, Tag::out), on(0, Tag::in)}));
  CHECK(free({on(1, Tag::out), on(0, Tag::no_dep)}));
  CHECK(free({on(2, Tag::in)}));
  CHECK_FALSE(free({on(2, Tag::out)}));
  CHECK_FALSE(free({Access::range({1, 0, 0}, bytes, 8, 16, Tag::in)}));  // a part of it
  pop_all();
  graph.complete(write);
  CHECK(free({on(0, Tag::in)}));
  pop_all();
  graph.complete(read);
  CHECK(free({on(0, Tag::out), on(2, Tag::out)}));
}

TEST_CASE_FIXTURE(GraphFixture, "who looks ahead sees the task that waits first") {
  const TaskId a = graph.submit({.cookie = 1, .accesses = list({on(0, Tag::inout)})}).value();
  CHECK(graph.look_ahead(a) == 0);
  (void)graph.submit({.cookie = 2, .accesses = list({on(0, Tag::inout)})}).value();
  (void)graph.submit({.cookie = 3, .accesses = list({on(0, Tag::inout)})}).value();
  CHECK(graph.look_ahead(a) == 2);
}

TEST_CASE_FIXTURE(GraphFixture, "a graph built in any order runs in the order of its edges") {
  const TaskId a = graph.submit({.name = "a", .events = 1}).value();
  const TaskId b = graph.submit({.name = "b", .events = 1}).value();
  REQUIRE(graph.add_edge(b, a));
  CHECK(graph.signal(a));
  CHECK_FALSE(graph.signal(a));
  CHECK(graph.signal(b));
  CHECK(pop_all() == Ids{b});
  CHECK_FALSE(graph.add_edge(a, b));  // b runs
  graph.complete(b);
  CHECK(pop_all() == Ids{a});
}

TEST_CASE_FIXTURE(GraphFixture, "bad submits are refused with the argument's number and change nothing") {
  const auto check = [&](const TaskSpec& spec, const char* what) {
    const auto refused = graph.submit(spec);
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == Errc::invalid_args);
    INFO(refused.error().what());
    CHECK(refused.error().message().find(what) != std::string::npos);
    CHECK(graph.status().submitted == 0);
  };
  check({.name = "wide", .accesses = list({on(0, Tag::in), Access::range({1, 0, 0}, 10, 0, 11, Tag::in)})},
        "argument 1");
  check({.name = "tag", .accesses = list({on(0, static_cast<Tag>(9))})}, "tag");
  check({.name = "kind", .kind = 200}, "kind");
  check({.name = "empty", .members = 0}, "\"empty\"");
  check({.name = "past", .accesses = list({Access::whole({1, 0, ~0ULL - 5}, 10, Tag::in)})}, "address space");
}

TEST_CASE_FIXTURE(GraphFixture, "why() and deadlock() name who waits and for what") {
  const TaskId a = task("load", {on(0, Tag::out)});
  const TaskId b = task("step", {on(0, Tag::in)});
  const TaskId c = graph.submit({.name = "gate", .events = 1}).value();
  pop_all();
  CHECK(graph.why(b) == "\"step\" waits for 1 task: \"load\" (running)");
  CHECK(graph.why(c) == "\"gate\" waits for 1 event");
  CHECK_FALSE(graph.deadlock());
  graph.complete(a);
  CHECK(graph.why(b) == "\"step\" is ready: it waits for an executor");
  pop_all();
  graph.complete(b);
  const auto missing = graph.deadlock();
  REQUIRE(missing);
  CHECK(*missing == Errc::deadlock);
  CHECK(missing->message().find("\"gate\" (1 event)") != std::string::npos);
  graph.signal(c);
  CHECK_FALSE(graph.deadlock());
}

TEST_CASE_FIXTURE(GraphFixture, "a cycle is named") {
  const TaskId a = graph.submit({.name = "a", .events = 1}).value();
  const TaskId b = graph.submit({.name = "b", .after = std::array{a}}).value();
  REQUIRE(graph.add_edge(b, a));
  graph.signal(a);
  const auto cycle = graph.deadlock();
  REQUIRE(cycle);
  CHECK(cycle->message().find("\"a\" -> \"b\" -> \"a\"") != std::string::npos);
}

TEST_CASE("a full window in which nothing can end is a flow control deadlock") {
  GraphFixture f({.task_window = 4});
  for (int i = 0; i < 4; ++i) REQUIRE(f.graph.submit({.name = "held", .events = 1}));
  const auto error = f.graph.deadlock();
  REQUIRE(error);
  CHECK(*error == Errc::flow_control_deadlock);
  CHECK(error->root() == Errc::deadlock);
}

}  // namespace

// A `Task` remembered its number and the address of the orchestrator. Used in another program it named
// whatever had that number there (`after(task)` waited for the wrong task), and used after its program it
// read freed memory. Promised now: a task belongs to its program, and its use anywhere else is
// `wrong_program`.
#include <doctest/doctest.h>

#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::error_of;
using testing::Simulation;

TEST_CASE("a task of another program cannot be waited for with after()") {
  Simulation sim;
  sim.kernel("step", [](auto&) {});
  Task before;
  sim.node().run([&](Orchestrator& node) {
    node.submit("step");
    before = node.submit("step");
  });
  sim.node().run([&](Orchestrator& node) {
    node.submit("step");
    node.submit("step");  // has the same number here
    const auto error = error_of([&] { node.submit("step", after(before)); });
    REQUIRE(error);
    CHECK(*error == Errc::wrong_program);
    CHECK(error->message().find("task \"step\"") != std::string::npos);
    CHECK(error->message().find("task 2 of another program") != std::string::npos);
  });
  CHECK(sim.ran("step") == 4);
}

TEST_CASE("a coroutine does not wait for a task of another program that is running: that is an error there") {
  Simulation sim;
  sim.kernel("wait", [](auto& call) { call.waits(); });
  sim.kernel("step", [](auto&) {});
  auto& node = sim.node();
  Task slow;
  std::optional<Error> error;
  auto x = node.tensor<float>({1});
  auto owner = node.submit(
      [&slow](Orchestrator& n, Tensor y) -> actors::Program {
        slow = n.submit("wait", inout(y));
        co_await slow;
      },
      x);
  while (!slow) REQUIRE(sim.steps(1) == 1);
  auto other = node.submit([&](Orchestrator& n) -> actors::Program {
    try {
      co_await slow;
    } catch (const Error& given) {
      error = given;
    }
    co_await n.submit("step");  // it goes on
  });
  while (!other.done()) REQUIRE(sim.steps(1) == 1);
  CHECK(other.result());
  REQUIRE(error);
  CHECK(*error == Errc::wrong_program);
  CHECK(error->message() == "task 1 is of another program, which is still running");
  CHECK(error->hint().find("Handle::wait") != std::string::npos);
  CHECK_FALSE(owner.done());
  // Nor does a plain function, and nor does a thread that is no program's.
  const auto plain = error_of([&] { node.run([&](Orchestrator&) { slow.wait(); }); });
  REQUIRE(plain);
  CHECK(plain->root() == Errc::wrong_program);
  CHECK(error_of([&] { slow.wait(); }).value() == Errc::wrong_program);
  owner.cancel();
  CHECK(owner.result().error() == Errc::cancelled);
}

TEST_CASE("after() of an empty Task is refused: it would wait for nothing") {
  Simulation sim;
  sim.kernel("step", [](auto&) {});
  sim.node().run([&](Orchestrator& node) {
    CHECK(error_of([&] { node.submit("step", after(Task{})); }).value() == Errc::bad_argument);
  });
}

TEST_CASE("what a program can wait for says so when its program is over") {
  Simulation sim;
  sim.kernel("step", [](auto&) {});
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  Task task;
  std::optional<actors::Read<float>> read;
  std::optional<actors::Drained> drained;
  std::optional<actors::Room> room;
  node.run([&](Orchestrator& program) {
    task = program.submit("step", inout(x));
    read.emplace(program.read<float>(x));
    drained.emplace(program.drained());
    room.emplace(program.room());
  });
  const auto error = error_of([&] { task.wait(); });
  REQUIRE(error);
  CHECK(*error == Errc::wrong_program);
  CHECK(error->message() == "task 1 is of a program that has returned");
  CHECK(error_of([&] { (void)read->get(); }).value() == Errc::wrong_program);
  CHECK(error_of([&] { drained->wait(); }).value() == Errc::wrong_program);
  CHECK(error_of([&] { room->wait(); }).value() == Errc::wrong_program);
  CHECK(error_of([] { Task{}.wait(); }).value() == Errc::bad_argument);
}

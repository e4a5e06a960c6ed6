#include <doctest/doctest.h>

#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::Errc;
using testing::Simulation;

namespace {

/// Kernels that count, copy and fail in ways a test can see.
void add_kernels(Simulation& sim) {
  sim.kernel("increment", [](auto& call) { call.template tensor<float>(0)[0] += 1; });
  sim.kernel("copy",
             [](auto& call) { call.template tensor<float>(1)[0] = call.template tensor<float>(0)[0]; });
  sim.kernel("step", [](auto& call) { call.template tensor<float>(0)[0] += 1; });
  sim.kernel("one", [](auto& call) { call.template tensor<float>(0)[0] = 1; });
  sim.kernel("look", [](auto&) {});
}

template <class F>
std::optional<Error> error_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

/// Fails to write a tensor and keeps it, as a thread does that has not let go of the task yet.
struct Kept {
  static inline Tensor tensor;
  static inline std::optional<Error> lost;

  static Program fail(Orchestrator& below, Tensor x) {
    tensor = x;
    try {
      co_await below.submit("step", inout(x));
    } catch (const Error&) {
    }
    try {
      co_await below.submit("copy", in(x), out(below.alloc<float>({1})));
    } catch (const Error& error) {
      lost = error;
    }
  }
};

}  // namespace

TEST_CASE("a failed task names itself, its chip and its cause, poisons its dependents, and nothing else") {
  Simulation sim;
  add_kernels(sim);
  sim.fault(testing::fail("step").with("the kernel saw a ghost"));
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  auto y = node.tensor<float>({1});
  auto z = node.tensor<float>({1});
  auto handle = node.submit(
      [](Orchestrator& n, Tensor a, Tensor b, Tensor c) {
        n.submit("step", inout(a), on_chip(1));
        n.submit("copy", in(a), out(b));
        n.submit("increment", inout(c));
      },
      x, y, z);
  const auto report = handle.report();
  REQUIRE(report.error);
  CHECK(*report.error == Errc::task_failed);
  CHECK(report.error->path() == "node0/chip1");
  CHECK(report.error->message().find("task \"step\" failed: ") == 0);
  CHECK(report.error->root().message().find("ghost") != std::string::npos);
  CHECK(report.error->root().code().name == "kernel_failed");
  CHECK(report.poisoned == std::vector<std::string>{"copy"});
  CHECK(z.host<float>()[0] == 1.0F);
  CHECK(sim.ran("copy") == 0);

  // What a failed writer leaves is nobody's data, until all of it is written again.
  const auto again = [](Orchestrator& n, Tensor a, Tensor b) {
    n.submit("step", inout(a));
    n.submit("copy", in(a), out(b));
  };
  const auto refused = node.submit(again, x, y).result();
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == Errc::data_lost);
  CHECK(refused.error().message().find("task \"step\", which was to write it") != std::string::npos);
  CHECK_THROWS_AS(x.host<const float>(), Error);
  x.overwrite<float>()[0] = 0.0F;
  node.run(again, x, y);
  CHECK(y.host<float>()[0] == 1.0F);
}

TEST_CASE(
    "what a failed writer leaves in memory of the user's is lost for its run, and the user's after that") {
  Simulation sim({.nodes = 1});
  add_kernels(sim);
  sim.fault(testing::fail("step"));
  std::vector<float> mine{1.0F}, seen{0.0F};
  const auto x = Tensor::borrow(mine.data(), {1}), y = Tensor::borrow(seen.data(), {1});
  sim.node().run([&](Orchestrator& pod) { pod.submit(&Kept::fail, inout(x)); });
  REQUIRE(Kept::lost);
  REQUIRE(Kept::tensor.valid());
  mine[0] = 7.0F;  // which nobody is told of
  const auto read =
      sim.node()
          .submit([&](Orchestrator& pod) {
            pod.submit(
                +[](Orchestrator& below, Tensor from, Tensor to) { below.submit("copy", in(from), out(to)); },
                in(x), out(y));
          })
          .result();
  CHECK(read);
  CHECK(seen[0] == 7.0F);
  Kept::tensor = {};
}

TEST_CASE("memory of the user's stays lost while a run around the failed writer's has it") {
  Simulation sim({.nodes = 2});
  add_kernels(sim);
  sim.fault(testing::fail("step"));
  std::vector<float> mine{1.0F}, seen{0.0F};
  const auto forgives = [](Orchestrator& below, Tensor x) -> Program {
    try {
      co_await below.submit("step", inout(x));
    } catch (const Error&) {
    }
  };
  const auto reads = [](Orchestrator& below, Tensor x, Tensor y) { below.submit("copy", in(x), out(y)); };
  const auto x = Tensor::borrow(mine.data(), {1}), y = Tensor::borrow(seen.data(), {1});
  const auto ended = sim.node()
                         .submit([&](Orchestrator& pod) {
                           pod.submit(+forgives, inout(x));
                           pod.submit(+reads, in(x), out(y));
                         })
                         .result();
  REQUIRE_FALSE(ended);
  CHECK(ended.error().root().message().find("ghost") == std::string::npos);
  CHECK(seen[0] == 0.0F);
  sim.node().run([&](Orchestrator& pod) { pod.submit(+reads, in(x), out(y)); });
  CHECK(seen[0] == 1.0F);
}

TEST_CASE("a program that awaits a failure and catches it goes on, and its run ends well") {
  Simulation sim;
  add_kernels(sim);
  sim.fault(testing::fail("step"));
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  node.run(
      [](Orchestrator& n, Tensor a) -> Program {
        auto doomed = n.submit("step", inout(a));
        auto poisoned = n.submit("look", in(a));
        bool caught = false;
        try {
          co_await poisoned;
        } catch (const Error& error) {
          caught = error == Errc::task_failed || error.root().code().name == "kernel_failed";
        }
        if (!caught) throw Error(Errc::bad_argument, "the poisoned task did not throw");
        co_await n.submit("one", out_existing(a));
        (void)doomed;
      },
      x);
  CHECK(x.host<float>()[0] == 1.0F);
}

TEST_CASE("what a program submits though it knows that it cannot run ends the run, unless it looks at it") {
  Simulation sim;
  add_kernels(sim);
  sim.fault(testing::fail("step"));
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  const auto program = [](bool looks) {
    return [looks](Orchestrator& n, Tensor a) -> Program {
      auto doomed = n.submit("step", inout(a));
      n.submit("look", in(a));  // before it knows
      try {
        co_await doomed;
      } catch (const Error&) {
      }
      auto after = n.submit("look", in(a));
      try {
        if (looks) co_await after;
      } catch (const Error&) {
      }
    };
  };
  CHECK_FALSE(error_of([&] { node.run(program(true), x); }));
  sim.fault(testing::fail("step"));
  x.overwrite<float>()[0] = 0.0F;
  const auto error = error_of([&] { node.run(program(false), x); });
  REQUIRE(error);
  CHECK(error->message().find("look was not run: what it needs failed") != std::string::npos);
}

TEST_CASE("the first failure wins, in order of occurrence") {
  Simulation sim({.chips = 1});
  add_kernels(sim);
  sim.fault(testing::fail("step").with("first"));
  sim.fault(testing::fail("look").with("second"));
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  auto y = node.tensor<float>({1});
  const auto error = error_of([&] {
    node.run(
        [](Orchestrator& n, Tensor a, Tensor b) {
          n.submit("step", inout(a));
          n.submit("look", in(b));
        },
        x, y);
  });
  REQUIRE(error);
  CHECK(error->root().message().find("first") != std::string::npos);
}

TEST_CASE("retry runs a failed task again, and is refused where that would be wrong") {
  Simulation sim;
  add_kernels(sim);
  sim.fault(testing::fail("copy").times(2));
  auto& node = sim.node();
  auto x = node.tensor<float>({1}, 7.0F);
  auto y = node.tensor<float>({1});
  auto program = [](Orchestrator& n, Tensor a, Tensor b) { n.submit("copy", in(a), out(b), retry(2)); };
  auto handle = node.submit(program, x, y);
  const auto report = handle.report();
  CHECK_FALSE(report.error);
  CHECK(report.retried == 2);
  CHECK(y.host<float>()[0] == 7.0F);
  const auto refused =
      error_of([&] { node.run([](Orchestrator& n, Tensor a) { n.submit("step", inout(a), retry(1)); }, x); });
  REQUIRE(refused);
  CHECK(*refused == Errc::retry_refused);
  CHECK_FALSE(error_of([&] {
    node.run([](Orchestrator& n, Tensor a) { n.submit("step", inout(a), retry(1), idempotent); }, x);
  }));
}

TEST_CASE("a chip that dies is restarted: its task fails as chip_lost or is tried again, others go on") {
  Simulation sim;
  add_kernels(sim);
  sim.fault(testing::kill_chip(1).of("copy"));
  auto& node = sim.node();
  auto x = node.tensor<float>({1}, 3.0F);
  auto y = node.tensor<float>({1});
  auto z = node.tensor<float>({1});
  auto handle = node.submit(
      [](Orchestrator& n, Tensor a, Tensor b, Tensor c) {
        n.submit("copy", in(a), out(b), on_chip(1));
        n.submit("increment", inout(c), on_chip(0));
      },
      x, y, z);
  const auto report = handle.report();
  REQUIRE(report.error);
  CHECK(*report.error == Errc::chip_lost);
  CHECK(z.host<float>()[0] == 1.0F);

  sim.fault(testing::kill_chip(1).of("copy"));
  node.run([](Orchestrator& n, Tensor a, Tensor b) { n.submit("copy", in(a), out(b), on_chip(1), retry(1)); },
           x, y);
  CHECK(y.host<float>()[0] == 3.0F);
  const auto status = node.status();
  CHECK(status.children[1].restarts == 2);
  CHECK(status.children[1].state == "up");
}

TEST_CASE("a chip that keeps dying is retired, and its tasks say so") {
  Simulation sim({.restart = {2, 10s}});
  add_kernels(sim);
  sim.fault(testing::kill_chip(1).times(100));
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  const auto error = error_of([&] {
    node.run([](Orchestrator& n, Tensor a) { n.submit("look", in(a), on_chip(1), retry(50)); }, x);
  });
  REQUIRE(error);
  CHECK(*error == Errc::chip_retired);
  CHECK(node.status().children[1].state == "retired");
  node.run([](Orchestrator& n, Tensor a) { n.submit("increment", inout(a)); }, x);
  CHECK(x.host<float>()[0] == 1.0F);
}

TEST_CASE("cancel ends a run that waits, and the node goes on") {
  Simulation sim;
  add_kernels(sim);
  sim.kernel("wait", [](auto& call) { call.waits(); });
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  auto handle = node.submit(
      [](Orchestrator& n, Tensor a) -> Program {
        auto scope = n.scope();
        auto own = n.alloc<float>({4});
        n.submit("look", out(own));
        co_await n.submit("wait", inout(a));
      },
      x);
  sim.steps(200);
  CHECK_FALSE(handle.done());
  handle.cancel();
  const auto result = handle.result();
  REQUIRE_FALSE(result);
  CHECK(result.error() == Errc::cancelled);
  x.overwrite<float>()[0] = 0.0F;  // nobody knows how far its writer had come
  node.run([](Orchestrator& n, Tensor a) { n.submit("increment", inout(a)); }, x);
}

TEST_CASE("a deadline gives up on a task, by the virtual clock") {
  Simulation sim;
  add_kernels(sim);
  sim.kernel("wait", [](auto& call) { call.waits(); });
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  const auto error = error_of(
      [&] { node.run([](Orchestrator& n, Tensor a) { n.submit("wait", in(a), deadline(5ms)); }, x); });
  REQUIRE(error);
  CHECK(*error == Errc::deadline_exceeded);
  CHECK(sim.now() >= 5ms);
  auto late = error_of([&] {
    node.run(
        RunOptions{.name = "slow", .deadline = 3ms},
        [](Orchestrator& n, Tensor a) { n.submit("wait", in(a)); }, x);
  });
  REQUIRE(late);
  CHECK(*late == Errc::deadline_exceeded);
}

TEST_CASE("impossible requests fail at submit with a sentence") {
  Simulation sim;
  add_kernels(sim);
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  auto fails = [&](auto program, Errc code) {
    const auto error = error_of([&] { node.run(program, x); });
    REQUIRE(error);
    CHECK(*error == code);
  };
  fails([](Orchestrator& n, Tensor a) { n.submit("look", in(a), on_chip(7)); }, Errc::no_such_chip);
  fails([](Orchestrator& n, Tensor a) { n.submit("nothing", in(a)); }, Errc::unknown_callable);
  fails(
      [](Orchestrator& n, Tensor a) {
        n.submit_group("look", {args(in(a)), args(in(a)), args(in(a))});
      },
      Errc::group_too_large);
  fails([](Orchestrator& n, Tensor) { n.submit("look", in(Tensor())); }, Errc::bad_argument);
  fails(
      [](Orchestrator& n, Tensor a) -> Program {
        n.submit("look", in(a));
        n.drain();
        co_return;
      },
      Errc::blocking_in_coroutine);
}

TEST_CASE("a host function that throws fails its task with its name") {
  Simulation sim;
  auto& node = sim.node();
  node.add_function("verify", [](HostArgs&) { throw std::runtime_error("wrong sum"); });
  auto x = node.tensor<float>({1});
  const auto error =
      error_of([&] { node.run([](Orchestrator& n, Tensor a) { n.submit_sub("verify", in(a)); }, x); });
  REQUIRE(error);
  CHECK(error->path() == "node0/sub0");
  CHECK(error->message().find("function \"verify\": wrong sum") != std::string::npos);
}

TEST_CASE("a chip that does not come up aborts the node with its number and the reason") {
  Simulation sim({.chips = 4});
  sim.fault(testing::fail_call("set_device", 2).with("no power"));
  const auto error = error_of([&] { sim.node(); });
  REQUIRE(error);
  CHECK(*error == Errc::bootstrap_failed);
  CHECK(error->message().find("chip 2 bootstrap failed: ") == 0);
  CHECK(error->message().find("no power") != std::string::npos);
}

TEST_CASE("a system ends at any moment of a run, and the run knows") {
  for (std::size_t moment = 0; moment < 120; moment += 7) {
    Handle handle;
    {
      Simulation sim({.seed = moment + 1});
      add_kernels(sim);
      auto& node = sim.node();
      auto x = node.tensor<float>({1});
      handle = node.submit(
          [](Orchestrator& n, Tensor a) -> Program {
            for (int i = 0; i < 20; ++i) co_await n.submit("increment", inout(a));
          },
          x);
      sim.steps(moment);
    }
    REQUIRE(handle.done());
    const auto report = handle.report();
    if (report.error) CHECK(*report.error == Errc::shut_down);
  }
}

// Plans: a replay does what the recorded program would do with the new arguments; what does not fit is an
// error.
#include <doctest/doctest.h>

#include <map>
#include <string>
#include <vector>

#include "actors/plan/layer.hpp"
#include "support/built.hpp"
#include "support/error_of.hpp"
#include "troupe/actors/trace_sink.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::error_of;
using test::holds;
using test::layer;
using test::size;
using test::with_kernels;
using testing::Simulation;

TEST_CASE("a plan is replayed with other tensors and numbers") {
  for (const std::uint64_t seed : {0, 1, 2, 3, 4, 5}) {
    Simulation sim({.seed = seed, .chips = 1});
    auto& node = with_kernels(sim).node();
    auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size});
    auto plan = node.record(layer, x, y, 0.5f);
    CHECK(holds(y, 3, 0.5f));
    CHECK(plan.tasks() == 5);
    CHECK(plan.steps() == 1);
    auto x2 = node.tensor<float>({size}, 7), y2 = node.tensor<float>({size});
    node.run(plan, x2, y2, 2.0f);
    CHECK(holds(y2, 7, 2));
    CHECK(holds(y, 3, 0.5f));
    node.submit(plan, x, y2, 1.0f).get();
    CHECK(holds(y2, 3, 1));
    // As tasks of another program, in its order.
    node.run(
        [&](Orchestrator& n, Tensor a, Tensor b) {
          n.submit("set", out(a), scalar(4.0f));
          n.submit(plan, in(a), out(b), scalar(1.0f));
          n.submit("add", in(b), in(b), out(a));
          n.submit(plan, a, b, Slot<float>(1.0f));
          CHECK(n.read<float>(b.rows(size - 1, size)).get() == 4 * 2 * 2 * 2);
        },
        x, y);
  }
}

TEST_CASE("a plan on several chips keeps what runs on one together") {
  for (const std::uint64_t seed : {0, 1, 2, 3, 4, 5, 6, 7}) {
    Simulation sim({.seed = seed, .chips = 2});
    auto& node = with_kernels(sim).node();
    const auto both = [](Orchestrator& n, Tensor x, Tensor y, Tensor z, Slot<float> r) {
      for (int i = 0; i < 4; ++i) {
        n.submit("add", in(x), in(y), out(y), on_chip(0));
        n.submit("add", in(x), in(z), out(z), on_chip(1));
      }
      n.submit("add", in(y), in(z), out(z), on_chip(1));
      n.submit_sub([](HostArgs& args) { args.tensor<float>(0)[0] += args.scalar<float>(0); }, inout(z),
                   scalar(r));
      n.submit("add", in(z), in(y), out(y));
      n.fill(z, 5.0f);
    };
    auto x = node.tensor<float>({size}, 1), y = node.tensor<float>({size}), z = node.tensor<float>({size});
    auto plan = node.record(both, x, y, z, 10.0f);
    CHECK(y.host<const float>()[0] == 4 + 8 + 10);
    CHECK(z.host<const float>()[0] == 5);
    CHECK(plan.tasks() == 12);
    INFO(plan.describe());
    CHECK(plan.steps() == 6);
    node.run(plan, x, z, y, 100.0f);
    CHECK(z.host<const float>()[0] == 5 + 4 + (5 + 4 + 22 + 4 + 100));
    CHECK(z.host<const float>()[1] == 5 + 4 + (5 + 4 + 12 + 4));
    CHECK(y.host<const float>()[0] == 5);
  }
}

TEST_CASE("more tasks than a chip takes at once, with more intermediates than its arena has room for") {
  Simulation sim({.seed = 3, .chips = 1, .credit = 5, .arena_bytes = 64 << 10});
  auto& node = with_kernels(sim).node();
  const auto chain = [](Orchestrator& n, Tensor x, Slot<float> r) {
    for (int i = 0; i < 200; ++i) {
      auto one = n.alloc<float>({1024});
      n.submit("set", out(one), scalar(r));
      n.submit("add", in(x), in(one.rows(0, size)), out(x));
    }
  };
  auto x = node.tensor<float>({size});
  auto plan = node.record(chain, x, 1.0f);
  CHECK(x.host<const float>()[3] == 200);
  CHECK(plan.steps() == 1);
  node.run(plan, x, 2.0f);
  CHECK(x.host<const float>()[3] == 600);
}

TEST_CASE("what the program made or knew of itself belongs to the plan") {
  Simulation sim({.chips = 1});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 1);
  Plan plan;
  {
    auto weights = node.tensor<float>({size}, 10);
    plan = node.record(
        [weights](Orchestrator& n, Tensor a) {
          auto count = n.tensor<float>({size}, 1);
          n.submit("add", in(a), in(weights), out(a));
          n.submit("add", in(count), in(count), out(count));
          n.submit("add", in(a), in(count), out(a));
        },
        x);
  }
  CHECK(x.host<const float>()[0] == 13);
  node.run(plan, x);
  CHECK(x.host<const float>()[0] == 13 + 10 + 4);
  // A captured tensor cannot be given, too: who comes after whom was not recorded.
  auto y = node.tensor<float>({size}, 1);
  auto kept = node.record([y](Orchestrator& n, Tensor a) { n.submit("add", in(a), in(y), out(a)); }, x);
  CHECK(error_of([&] { node.run(kept, y); }) == Errc::bad_argument);
}

TEST_CASE("arguments that do not fit are refused") {
  Simulation sim({.chips = 1});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size});
  auto plan = node.record(layer, x, y, 0.5f);
  const auto refused = [&](const char* word, auto... given) {
    const auto error = error_of([&] { node.run(plan, given...); });
    REQUIRE(error.has_value());
    INFO(error->message());
    CHECK(error->message().find(word) != std::string::npos);
  };
  refused("takes 3 arguments, not 2", x, y);
  refused("is a tensor, and got a number", x, 1.0f, 1.0f);
  refused("is a number, and got a tensor", x, y, y);
  refused("was recorded with", node.tensor<float>({size + 1}), y, 1.0f);
  refused("was recorded with", node.tensor<std::int32_t>({size}), y, 1.0f);
  refused("was recorded with", node.tensor<float>({size, 2}).slice(1, 0, 1).reshape({size}), y, 1.0f);
  refused("share bytes in another way", x, x, 1.0f);
  refused("given as in(…)", in(x), in(y), 1.0f);
  refused("given as out(…)", out(x), out(y), 1.0f);
  refused("f32", x, y, 0.1);
  CHECK(error_of([&] { node.run(Plan(), x); }) == Errc::bad_argument);
  // Aliases are a part of the plan.
  auto both =
      node.record([](Orchestrator& n, Tensor a, Tensor b) { n.submit("add", in(a), in(a), out(b)); }, x, x);
  CHECK(x.host<const float>()[0] == 6);
  CHECK(error_of([&] { node.run(both, x, y); }) == Errc::bad_argument);
  node.run(both, y, y);
  // A plain number stays what it was.
  auto fixed =
      node.record([](Orchestrator& n, Tensor a, float r) { n.submit("set", out(a), scalar(r)); }, x, 2.0f);
  node.run(fixed, y, 2.0f);
  CHECK(y.host<const float>()[0] == 2);
  CHECK(error_of([&] { node.run(fixed, y, 3.0f); })->hint().find("Slot<T>") != std::string::npos);
}

TEST_CASE("what looks at its results cannot be recorded") {
  Simulation sim({.chips = 1});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 3);
  const auto refused = [&](const char* word, auto program) {
    const auto error = error_of([&] { (void)node.record(name("odd"), program, x); });
    REQUIRE(error.has_value());
    INFO(error->message());
    CHECK(error->message().find("plan \"odd\"") != std::string::npos);
    CHECK(error->message().find(word) != std::string::npos);
  };
  refused(", after it has submitted 1 of its tasks (the last is \"first\")", [](Orchestrator& n, Tensor a) {
    n.submit("set", out(a), scalar(1.0f), name("first"));
    if (n.read<float>(a).get() > 0) n.submit("set", out(a), scalar(2.0f));
  });
  refused("waits for tasks", [](Orchestrator& n, Tensor a) { n.submit("set", out(a), scalar(1.0f)).wait(); });
  refused("waits for tasks", [](Orchestrator& n, Tensor a) {
    n.submit("set", out(a), scalar(1.0f));
    n.drain();
  });
  refused("has no task", [](Orchestrator&, Tensor) {});
  refused("memory of the user's own", [](Orchestrator& n, Tensor) {
    static float mine[size];
    n.submit("set", out(Tensor::borrow(mine, {size})), scalar(1.0f));
  });
  auto whole = node.tensor<float>({size});
  const auto part = error_of([&] {
    (void)node.record([whole](Orchestrator& n, Tensor) { n.submit("set", out(whole), scalar(1.0f)); },
                      whole.rows(0, 2));
  });
  REQUIRE(part.has_value());
  CHECK(part->message().find("a parameter is only a part") != std::string::npos);
  // It is an ordinary run until then, and the node goes on.
  node.run([](Orchestrator& n, Tensor a) { n.submit("set", out(a), scalar(9.0f)); }, x);
  CHECK(x.host<const float>()[0] == 9);
}

TEST_CASE("what cannot be recorded is told with its line") {
  Simulation sim({.chips = 1});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 3);
  static int line = 0;
  const auto refused = [&](const char* what, auto program) {
    const auto error = error_of([&] { (void)node.record(program, x); });
    REQUIRE(error.has_value());
    INFO(error->message());
    CHECK(error->message().find(what + (" at " __FILE__ ":" + std::to_string(line))) != std::string::npos);
  };
  refused("reads a tensor", [](Orchestrator& n, Tensor a) {
    line = __LINE__ + 1;
    const float first = n.read<float>(a);
    (void)first;
  });
  refused("reads a tensor", [](Orchestrator& n, Tensor a) {
    line = __LINE__ + 1;
    (void)n.read_all<float>(a).get();
  });
  refused(
      "reads a tensor", +[](Orchestrator& n, Tensor a) -> Program {
        line = __LINE__ + 1;
        (void)co_await n.fetch(a);
      });
  refused("waits for tasks", [](Orchestrator& n, Tensor) {
    line = __LINE__ + 1;
    n.drain();
  });
  refused(
      "waits for tasks", +[](Orchestrator& n, Tensor) -> Program {
        line = __LINE__ + 1;
        co_await n.drained();
      });
  refused("waits for tasks", [](Orchestrator& n, Tensor a) {
    const auto task = n.submit("set", out(a), scalar(1.0f));
    line = __LINE__ + 1;
    task.wait();
  });
  refused(
      "waits for tasks", +[](Orchestrator& n, Tensor a) -> Program {
        const auto task = n.submit("set", out(a), scalar(1.0f));
        line = __LINE__ + 1;
        co_await task;
      });
}

TEST_CASE("a coroutine that awaits nothing but room can be recorded") {
  Simulation sim({.chips = 1, .soft_limit = 2});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 1);
  const auto program = +[](Orchestrator& n, Tensor a) -> Program {
    for (int i = 0; i < 6; ++i) {
      co_await n.room();
      n.submit("add", in(a), in(a), out(a));
    }
  };
  auto plan = node.record(program, x);
  CHECK(x.host<const float>()[0] == 64);
  node.run(plan, x);
  CHECK(x.host<const float>()[0] == 64 * 64);
  const auto waits =
      +[](Orchestrator& n, Tensor a) -> Program { co_await n.submit("add", in(a), in(a), out(a)); };
  CHECK(error_of([&] { (void)node.record(waits, x); }) == Errc::bad_argument);
}

TEST_CASE("a plan of several steps is awaited as one task") {
  Simulation sim({.chips = 2});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 1), y = node.tensor<float>({size}, 1);
  auto plan = node.record(
      [](Orchestrator& n, Tensor a, Tensor b) {
        n.submit("add", in(a), in(a), out(a), on_chip(0));
        n.submit("add", in(b), in(b), out(b), on_chip(1));
        n.submit_group("set", {args(out(a.rows(0, 1)), scalar(7.0f)), args(out(b.rows(0, 1)), scalar(8.0f))});
      },
      x, y);
  CHECK(plan.steps() == 3);
  node.run(
      [&](Orchestrator& n, Tensor a, Tensor b) {
        n.submit(plan, a, b).wait();
        CHECK(n.unfinished() == 0);
        auto last = n.submit(plan, a, b);
        n.submit("set", out(a), scalar(1.0f), after(last));
        n.drain();
        sim.fault(testing::fail("set").at(1));
        const auto error = error_of([&] { n.submit(plan, a, b).wait(); });
        CHECK(error == Errc::task_failed);
      },
      x, y);
}

TEST_CASE("a plan of another node is refused, and a plan outlives its system") {
  Plan plan;
  {
    Simulation sim({.chips = 1, .nodes = 0});
    auto& node = with_kernels(sim).node();
    auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size});
    plan = node.record(layer, x, y, 0.5f);
    Simulation other({.chips = 1});
    auto& stranger = with_kernels(other).node();
    auto a = stranger.tensor<float>({size}), b = stranger.tensor<float>({size});
    CHECK(error_of([&] { stranger.run(plan, a, b, 1.0f); }) == Errc::wrong_program);
  }
  CHECK(plan.tasks() == 5);
  CHECK(plan.describe().find("plan \"plan\"") == 0);
}

TEST_CASE("a plan may contain plans") {
  Simulation sim({.chips = 1});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size});
  auto inner = node.record(layer, x, y, 0.5f);
  const auto twice = [inner](Orchestrator& n, Tensor a, Tensor b, Slot<float> r) {
    auto between = n.alloc<float>({size});
    n.submit(inner, a, between, r);
    n.submit(inner, in(between), out(b), scalar(r));
  };
  auto outer = node.record(twice, x, y, 1.0f);
  CHECK(y.host<const float>()[0] == 3 * 4 * 4);
  node.run(outer, x, y, 0.5f);
  CHECK(y.host<const float>()[0] == 3 * 2 * 2);
}

TEST_CASE("memory of a chip that a plan keeps lasts as long as its replays") {
  for (const std::uint64_t seed : {0, 1, 2, 3}) {
    Simulation sim({.seed = seed, .chips = 2, .credit = 1});
    auto& node = with_kernels(sim).node();
    auto x = node.tensor<float>({size}, 1);
    Handle run;
    {
      auto there = node.chip(1).malloc<float>({size});
      node.chip(1).copy_to(there, node.tensor<float>({size}, 10));
      const auto plan = node.record(
          [there](Orchestrator& n, Tensor a) {
            for (int i = 0; i < 5; ++i) n.submit("add", in(a), in(there), out(a));
          },
          x);
      CHECK(plan.steps() == 1);
      there = {};
      run = node.submit(plan, x);
    }
    for (int i = 0; i < 3; ++i) (void)node.chip(1).malloc<float>({size});
    run.get();
    CHECK(x.host<const float>()[size - 1] == 101);
  }
}

TEST_CASE("a plan keeps its tasks' names, widths and priorities") {
  Simulation sim({.chips = 1});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 1);
  const auto program = [](Orchestrator& n, Tensor a) {
    n.submit("add", in(a), in(a), out(a), name("first"), blocks(2));
    n.submit("add", in(a), in(a), out(a), priority(3));
    n.submit("add", in(a), in(a), out(a), priority(3), name("last"));
  };
  const auto plan = node.record(name("three"), program, x);
  CHECK(plan.name() == "three");
  CHECK(plan.steps() == 2);
  CHECK(plan.describe().find("\"first\"") != std::string::npos);
  sim.fault(testing::fail("add").at(3));
  const auto error = error_of([&] { node.run(plan, x); });
  REQUIRE(error.has_value());
  CHECK(error->message().find("\"last\"") != std::string::npos);
}

TEST_CASE("a task that names what it writes before what it reads of the same tensor reads it first") {
  Simulation sim({.chips = 1});
  sim.kernel("next", [](auto& call) {
    auto to = call.template tensor<float>(0);
    const auto from = call.template tensor<const float>(1);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i] + 1;
  });
  auto& node = sim.node();
  auto x = node.tensor<float>({size}, 10.0f), y = node.tensor<float>({size});
  const auto plan = node.record(
      [](Orchestrator& n, Tensor a, Tensor b) {
        n.submit("next", out(a), in(a));
        n.submit("next", out(b), in(a));
      },
      x, y);
  auto x2 = node.tensor<float>({size}, 20.0f), y2 = node.tensor<float>({size});
  node.run(plan, x2, y2);
  CHECK(x2.host<const float>()[0] == 21.0f);
  CHECK(y2.host<const float>()[0] == 22.0f);
  CHECK(error_of([&] { node.run(plan, out(x2), out(y2)); }) == Errc::bad_argument);
}

TEST_CASE("a slot goes on only to a slot of its own type") {
  Simulation sim({.chips = 1});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size});
  const auto slot = node.record(
      [](Orchestrator& n, Tensor a, Slot<float> r) { n.submit("set", out(a), scalar(r)); }, x, 0.0f);
  const auto plain =
      node.record([](Orchestrator& n, Tensor a, float r) { n.submit("set", out(a), scalar(r)); }, x, 0.0f);
  CHECK(error_of([&] {
          (void)node.record(
              [&](Orchestrator& n, Tensor a, Slot<std::int32_t> r) { n.submit(slot, out(a), scalar(r)); }, x,
              0);
        }) == Errc::bad_argument);
  CHECK(error_of([&] {
          (void)node.record(
              [&](Orchestrator& n, Tensor a, Slot<float> r) { n.submit(plain, out(a), scalar(r)); }, x, 0.0f);
        }) == Errc::bad_argument);
  const auto both = node.record(
      [&](Orchestrator& n, Tensor a, Slot<float> r) { n.submit(slot, out(a), scalar(r)); }, x, 1.0f);
  node.run(both, x, 7.0f);
  CHECK(x.host<const float>()[0] == 7.0f);
}

TEST_CASE("a plan does not run in a System that came after its own") {
  for (int i = 0; i < 10; ++i) {
    Plan plan;
    {
      Simulation sim({.chips = 1});
      auto& node = with_kernels(sim).node();
      auto x = node.tensor<float>({size});
      plan = node.record(
          [](Orchestrator& n, Tensor a) {
            n.submit("set", out(a), scalar(9.0f));
            n.submit("scale", inout(a), scalar(2.0f));
          },
          x);
    }
    Simulation sim({.chips = 1});
    auto& node = with_kernels(sim).node();
    auto x = node.tensor<float>({size});
    CHECK(error_of([&] { node.run(plan, x); }) == Errc::wrong_program);
  }
}

TEST_CASE("a recorded program submits plans that keep memory of chips, and tasks after plans of many steps") {
  Simulation sim({.chips = 1});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}), y = node.tensor<float>({size});
  auto d = node.chip(0).malloc<float>({size});
  node.run([](Orchestrator& n, Tensor a) { n.submit("set", out(a), scalar(3.0f)); }, d);
  const auto keeps =
      node.record([&](Orchestrator& n, Tensor a) { n.submit("add", in(d), in(d), out(a)); }, x);
  const auto steps = node.record(
      [](Orchestrator& n, Tensor a) {
        n.submit("set", out(a), scalar(1.0f));
        n.submit_sub([](HostArgs& args) { args.tensor<float>(0)[0] += 1.0f; }, inout(a));
      },
      x);
  const auto all = node.record(
      [&](Orchestrator& n, Tensor a, Tensor b) {
        n.submit(keeps, out(a));
        const auto last = n.submit(steps, inout(b));
        n.submit("scale", inout(a), scalar(2.0f), after(last));
      },
      x, y);
  node.run(all, x, y);
  CHECK(x.host<const float>()[0] == 12.0f);
  CHECK(y.host<const float>()[0] == 2.0f);
}

TEST_CASE("why says of a replay which of its tasks it waits for") {
  Simulation sim({.chips = 1});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size});
  const auto plan = node.record(name("layer"), layer, x, y, 0.5f);
  sim.fault(testing::hang("set"));
  auto run = node.submit(plan, x, y, 1.0f);
  while (sim.tried("set") < 2 && sim.step()) {
  }
  const auto why = run.why();
  INFO(why);
  CHECK(why.find("\"layer\"") != std::string::npos);
  CHECK(why.find("\"set\"") != std::string::npos);
  run.cancel();
  CHECK(run.result().error() == Errc::cancelled);
}

TEST_CASE("a trace of a replay has its tasks as spans inside of one, with the edges they have") {
  // A device that tells of its kernels: real_copy and real_increment are in real_test.cpp.
  const auto sink = std::make_shared<actors::TraceSink>(actors::TraceSink::Options{});
  {
    actors::SystemConfig config;
    config.trace = sink;
    System system(config);
    auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 1});
    node.load(runtime::this_module());
    auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size});
    const auto plan = node.record(
        name("layer"),
        [](Orchestrator& n, Tensor a, Tensor b) {
          auto between = n.alloc<float>({size});
          n.submit("real_copy", in(a), out(between));
          n.submit("real_increment", inout(between));
          n.submit("real_copy", in(between), out(b), name("last"));
        },
        x, y);
    node.run(plan, x, y);
    CHECK(y.host<const float>()[0] == 4);
  }
  const auto trace = sink->snapshot();
  actors::TaskId whole = 0;
  for (const auto& span : trace.spans) {
    if (span.kind == actors::SpanKind::chip && trace.text(span.name) == "layer") whole = span.task;
  }
  REQUIRE(whole != 0);
  std::map<actors::TaskId, std::string> parts;
  for (const auto& span : trace.spans) {
    if (span.parent != whole) continue;
    CHECK(span.start != actors::unknown_time);
    parts[span.task] = trace.text(span.name);
  }
  std::string names, edges;
  for (const auto& [task, called] : parts) names += called + " ";
  CHECK(names == "real_copy real_increment last ");
  // What `--graph` draws.
  for (const auto& edge : trace.edges) {
    const auto from = parts.find(edge.from), to = parts.find(edge.to);
    if (from != parts.end() && to != parts.end()) edges += from->second + ">" + to->second + " ";
  }
  CHECK(edges == "real_copy>real_increment real_increment>last ");
}

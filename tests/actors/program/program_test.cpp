#include <doctest/doctest.h>

#include <set>

#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using testing::Simulation;

namespace {

void add_kernels(Simulation& sim) {
  sim.kernel("increment", [](auto& call) { call.template tensor<float>(0)[0] += 1; });
  sim.kernel("add", [](auto& call) {
    auto a = call.template tensor<float>(0), b = call.template tensor<float>(1),
         c = call.template tensor<float>(2);
    for (std::size_t i = 0; i < c.size(); ++i) c[i] = a[i] + b[i];
  });
  sim.kernel("fill", [](auto& call) {
    auto x = call.template tensor<float>(0);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = call.template scalar<float>(0);
  });
}

Program fill_two(Orchestrator& node, Tensor x, float value) {
  co_await node.submit("fill", out(x), scalar(value));
}

/// An L3 program as an L4 task: doubles its argument by adding it to itself, through an intermediate.
Program double_it(Orchestrator& node, Tensor x) {
  auto sum = node.alloc<float>({4});
  node.submit("add", in(x), in(x), out(sum));
  auto zero = node.tensor<float>({4});
  co_await node.submit("add", in(sum), in(zero), out_existing(x));
}

void increment_plain(Orchestrator& node, Tensor x) {
  node.submit("increment", inout(x));
  node.drain();
  node.submit("increment", inout(x));
}

}  // namespace

TEST_CASE("the same seed gives the same history, other seeds give others") {
  auto history = [](std::uint64_t seed) {
    Simulation sim({.seed = seed, .chips = 3});
    add_kernels(sim);
    for (const char* name : {"a", "b", "c", "d", "e", "f"}) sim.kernel(name, [](auto&) {});
    auto& node = sim.node();
    auto x = node.tensor<float>({1});
    auto one = node.submit(
        [](Orchestrator& n, Tensor t) {
          for (const char* name : {"a", "b", "c"}) n.submit(name, in(t));
        },
        x);
    auto two = node.submit(
        [](Orchestrator& n, Tensor t) {
          for (const char* name : {"d", "e", "f"}) n.submit(name, in(t));
        },
        x);
    one.get();
    two.get();
    return sim.order();
  };
  std::set<std::string> different;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CHECK(history(seed) == history(seed));
    different.insert(history(seed));
  }
  CHECK(different.size() > 1);
}

TEST_CASE("a program awaits another program as a part of itself") {
  Simulation sim;
  add_kernels(sim);
  auto& node = sim.node();
  auto x = node.tensor<float>({4});
  node.run(
      [](Orchestrator& n, Tensor t) -> Program {
        co_await fill_two(n, t, 2.0F);
        const auto values = co_await n.read_all<float>(t);
        if (values != std::vector<float>(4, 2.0F)) throw Error(Errc::bad_argument, "wrong values");
        co_await n.drained();
      },
      x);
  CHECK(sim.ran("fill") == 1);
}

TEST_CASE("a reader sees the value of its place in the program, not a later one") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Simulation sim({.seed = seed});
    add_kernels(sim);
    auto& node = sim.node();
    auto x = node.tensor<float>({4});
    std::vector<float> seen;
    node.run(
        [&seen](Orchestrator& n, Tensor t) -> Program {
          for (int i = 1; i <= 5; ++i) {
            n.submit("fill", out_existing(t), scalar(static_cast<float>(i)));
            seen.push_back(co_await n.read<float>(t));
          }
        },
        x);
    CHECK(seen == std::vector<float>{1, 2, 3, 4, 5});
  }
}

TEST_CASE("plain functions wait where they are called, also deep inside a pod") {
  Simulation sim({.chips = 1, .nodes = 2});
  add_kernels(sim);
  auto& pod = sim.node();
  auto x = pod.tensor<float>({1});
  pod.run(
      [](Orchestrator& p, Tensor t) {
        p.submit(increment_plain, inout(t));
        p.submit(increment_plain, inout(t), on_chip(1));
      },
      x);
  CHECK(x.host<float>()[0] == 4.0F);
}

TEST_CASE("a pod runs programs on its nodes, errors carry the whole path") {
  Simulation sim({.chips = 2, .nodes = 2});
  add_kernels(sim);
  auto& pod = sim.node();
  auto x = pod.tensor<float>({4}, 1.5F);
  auto y = pod.tensor<float>({4}, 2.5F);
  pod.run(
      [](Orchestrator& p, Tensor a, Tensor b) {
        p.submit(double_it, inout(a));
        p.submit(double_it, inout(b));
        p.submit(double_it, inout(a));
      },
      x, y);
  CHECK(x.host<float>()[3] == 6.0F);
  CHECK(y.host<float>()[0] == 5.0F);

  sim.fault(testing::fail("increment"));
  std::string path, message;
  try {
    pod.run([](Orchestrator& p, Tensor a) { p.submit(increment_plain, inout(a), on_chip(1)); }, x);
  } catch (const Error& error) {
    path = error.path();
    message = error.message();
  }
  CHECK(path.substr(0, 15) == "pod0/node1/chip");
  CHECK(message.find("task \"increment\" failed") == 0);
}

TEST_CASE("a group runs on distinct chips, all or none") {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    Simulation sim({.seed = seed, .chips = 4, .credit = 2});
    add_kernels(sim);
    sim.kernel("member",
               [](auto& call) { call.template tensor<float>(0)[0] = static_cast<float>(call.device()); });
    auto& node = sim.node();
    auto out4 = node.tensor<float>({4});
    node.run(
        [](Orchestrator& n, Tensor t) {
          auto x = n.tensor<float>({1});
          for (int i = 0; i < 30; ++i) n.submit("increment", inout(n.tensor<float>({1})));
          std::vector<Args> members;
          for (std::uint64_t i = 0; i < 4; ++i) members.push_back(args(out_existing(t.slice(0, i, i + 1))));
          n.submit_group("member", members);
          n.submit_group("member", members, chips(3, 2, 1, 0));
          for (int i = 0; i < 30; ++i) n.submit("increment", inout(n.tensor<float>({1})));
        },
        out4);
    const auto values = out4.host<float>();
    CHECK(std::vector<float>(values.begin(), values.end()) == std::vector<float>{3, 2, 1, 0});
    CHECK(sim.ran("member") == 8);
    CHECK(sim.ran("increment") == 60);
  }
}

TEST_CASE("intermediates come back when nobody can name them: many through a small arena") {
  Simulation sim({.chips = 1, .arena_bytes = 64 * 1024});
  add_kernels(sim);
  auto& node = sim.node();
  auto x = node.tensor<float>({1024});
  node.run(
      [](Orchestrator& n, Tensor t) {
        for (int i = 0; i < 500; ++i) {
          auto a = n.alloc<float>({1024});
          n.submit("fill", out(a), scalar(1.0F));
          n.submit("add", in(a), in(t), out_existing(t));
        }
      },
      x);
  CHECK(x.host<float>()[1023] == 500.0F);
}

TEST_CASE("direct use of a chip: memory, copies, device-resident arguments") {
  Simulation sim;
  add_kernels(sim);
  auto& node = sim.node();
  auto chip = node.chip(1);
  auto host = node.tensor<float>({64}, 3.0F);
  auto device = chip.malloc<float>({64});
  chip.copy_to(device, host);
  chip.run("add", in(device), in(device), out_existing(device));
  auto back = node.tensor<float>({64});
  chip.copy_from(back, device);
  CHECK(back.host<float>()[63] == 6.0F);
  // Placed where its data is, without being told.
  node.run([](Orchestrator& n, Tensor d) { n.submit("fill", out_existing(d), scalar(1.0F)); }, device);
  CHECK(sim.ran_on(1) == 2);
  sim.kill(1);
  std::optional<Error> error;
  try {
    node.run([](Orchestrator& n, Tensor d) { n.submit("fill", out_existing(d), scalar(1.0F)); }, device);
  } catch (const Error& e) {
    error = e;
  }
  REQUIRE(error);
  const bool typed = *error == Errc::data_lost || *error == Errc::chip_lost;
  CHECK(typed);
}

TEST_CASE("a coroutine that never awaits is stopped at its hard limit, room() lets it breathe") {
  Simulation sim({.chips = 1, .soft_limit = 100, .hard_limit = 500});
  add_kernels(sim);
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  std::optional<Error> error;
  try {
    node.run(
        [](Orchestrator& n, Tensor t) -> Program {
          for (int i = 0; i < 2000; ++i) n.submit("increment", inout(t));
          co_return;
        },
        x);
  } catch (const Error& e) {
    error = e;
  }
  REQUIRE(error);
  CHECK(*error == Errc::submit_overrun);
  x.host<float>()[0] = 0;
  node.run(
      [](Orchestrator& n, Tensor t) -> Program {
        for (int i = 0; i < 2000; ++i) {
          n.submit("increment", inout(t));
          co_await n.room();
        }
      },
      x);
  CHECK(x.host<float>()[0] == 2000.0F);
  x.host<float>()[0] = 0;
  node.run(
      [](Orchestrator& n, Tensor t) {
        for (int i = 0; i < 2000; ++i) n.submit("increment", inout(t));
      },
      x);
  CHECK(x.host<float>()[0] == 2000.0F);
}

TEST_CASE("a domain forms over chips, its buffers are tensors, and it goes with its run") {
  Simulation sim({.chips = 3});
  add_kernels(sim);
  auto& node = sim.node();
  const auto before = sim.actors();
  node.run([](Orchestrator& n) -> Program {
    DomainSpec spec;
    spec.chips = chips(2, 0);
    spec.buffers = {{"scratch", 4096}, {"flags", 64}};
    auto domain = co_await n.allocate_domain(spec);
    n.submit_group("fill", domain.each([](auto& rank) {
      return args(inout(rank.buffer("scratch")), scalar(2.0F), rank.context());
    }));
    co_await n.drained();
  });
  CHECK(sim.ran_on(2) == 1);
  CHECK(sim.ran_on(0) == 1);
  CHECK(sim.ran_on(1) == 0);
  while (sim.steps(1000) > 0) {
  }
  // No run, program or communicator is left.
  CHECK(sim.actors() == before);
}

TEST_CASE("a domain that cannot form says why and leaves nothing") {
  Simulation sim({.chips = 3});
  add_kernels(sim);
  sim.fault(testing::fail_call("window_create", 1).with("no window memory"));
  auto& node = sim.node();
  const auto before = sim.actors();
  std::optional<Error> error;
  try {
    node.run([](Orchestrator& n) {
      DomainSpec spec;
      spec.chips = chips(0, 1, 2);
      spec.window = 4096;
      auto domain = n.allocate_domain(spec).get();
    });
  } catch (const Error& e) {
    error = e;
  }
  REQUIRE(error);
  CHECK(error->message().find("no window memory") != std::string::npos);
  while (sim.steps(1000) > 0) {
  }
  CHECK(sim.actors() == before);
}

TEST_CASE("chips come and go while programs run") {
  Simulation sim({.chips = 1});
  add_kernels(sim);
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  actors::ChipConfig config;
  config.device_id = 9;
  config.device = [script = sim.script()](std::uint32_t) {
    return Result<platform::DeviceApi>(script.api());
  };
  const int added = node.add_executor(config);
  node.run([added](Orchestrator& n, Tensor t) { n.submit("increment", inout(t), on_chip(added)); }, x);
  CHECK(sim.ran_on(9) == 1);
  node.remove_executor(added);
  std::optional<Error> error;
  try {
    node.run([added](Orchestrator& n, Tensor t) { n.submit("increment", inout(t), on_chip(added)); }, x);
  } catch (const Error& e) {
    error = e;
  }
  REQUIRE(error);
  CHECK(*error == Errc::chip_retired);
}

TEST_CASE("a plain program that has not begun when its system ends does not harm, and its handle knows") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Handle handle;
    {
      Simulation sim({.seed = seed});
      handle = sim.node().submit([](Orchestrator&) {});
    }
    CHECK(handle.done());
  }
}

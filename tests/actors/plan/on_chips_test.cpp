// Plans on simulated chips, which take a step as one graph of theirs.
#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "actors/plan/random_program.hpp"
#include "support/built.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using test::random_steps;
using test::submit_all;
using test::width;

namespace {

std::atomic<int> entered{0}, told{0};

NodeConfig sims(int chips) {
  NodeConfig config;
  config.platform = tests::built("lib/libtroupe_a2a3sim.so");
  config.chips = chips;
  return config;
}

using Memory = std::vector<std::int64_t>;
Memory bytes_of(const Tensor& tensor) {
  const auto view = tensor.host<const std::int64_t>();
  return {view.begin(), view.end()};
}
Tensor numbered(const Node& node, std::int64_t first) {
  auto tensor = node.tensor<std::int64_t>({width});
  auto view = tensor.host<std::int64_t>();
  for (std::size_t i = 0; i < width; ++i) view[i] = first + static_cast<std::int64_t>(i * 7);
  return tensor;
}

}  // namespace

TROUPE_KERNEL(plan_mix)(KernelArgs& k) {
  test::mix(k.tensor<const std::int64_t>(0), k.tensor<const std::int64_t>(1), k.tensor<std::int64_t>(2),
            k.scalar<std::int64_t>(0));
}
TROUPE_KERNEL(plan_write)(KernelArgs& k) {
  test::write(k.tensor<const std::int64_t>(0), k.tensor<std::int64_t>(1), k.scalar<std::int64_t>(0));
}
TROUPE_KERNEL(plan_fails)(KernelArgs& k) {
  if (k.scalar<std::int64_t>(0) != 0) throw std::runtime_error("as it was told");
}
TROUPE_KERNEL(plan_stays)(KernelArgs& k) {
  if (k.scalar<std::int64_t>(0) == 0) return;
  ++entered;
  while (told.load() == 0) std::this_thread::yield();
}

TEST_CASE("a random program leaves the same memory on simulated chips anew and as a plan") {
  System system;
  for (const int chips : {1, 2}) {
    auto node = system.node(sims(chips));
    node.load(runtime::this_module());
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
      CAPTURE(chips);
      CAPTURE(seed);
      const auto steps = random_steps(seed, chips);
      const auto program = [steps](Orchestrator& n, Tensor x, Tensor y, Tensor z, Slot<std::int64_t> r) {
        submit_all(n, steps, x, y, z, r);
      };
      std::optional<Plan> plan;
      for (std::int64_t round = 0; round < 3; ++round) {
        const auto x = numbered(node, round), y = numbered(node, 50 - round), z = numbered(node, 900);
        const auto p = numbered(node, round), q = numbered(node, 50 - round), r = numbered(node, 900);
        node.run(program, x, y, z, 10 + round);
        if (!plan) {
          plan = node.record(program, p, q, r, 10 + round);
        } else {
          node.run(*plan, p, q, r, 10 + round);
        }
        REQUIRE(bytes_of(p) == bytes_of(x));
        REQUIRE(bytes_of(q) == bytes_of(y));
        REQUIRE(bytes_of(r) == bytes_of(z));
      }
    }
  }
}

TEST_CASE("a failure in a step on a simulated chip names its task, and the next replay works") {
  System system;
  auto node = system.node(sims(1));
  node.load(runtime::this_module());
  const auto program = [](Orchestrator& n, Tensor x, Tensor y, Slot<std::int64_t> fails) {
    n.submit("plan_write", in(x), out(y), scalar(std::int64_t{1}));
    n.submit("plan_fails", in(x), inout(y), scalar(fails), name("the weak one"));
    n.submit("plan_write", in(y), out(x), scalar(std::int64_t{1}));
  };
  auto x = numbered(node, 5), y = numbered(node, 0);
  const auto plan = node.record(name("three"), program, x, y, std::int64_t{0});
  CHECK(plan.steps() == 1);
  for (int round = 0; round < 5; ++round) {
    try {
      node.run(plan, x, y, std::int64_t{1});
      FAIL("it did not fail");
    } catch (const Error& error) {
      const auto text = render(error);
      CAPTURE(text);
      CHECK(error == actors::Errc::task_failed);
      CHECK(text.find("its task \"the weak one\" (number 1 of 3) failed") != std::string::npos);
      CHECK(text.find("as it was told") != std::string::npos);
    }
    x.overwrite<std::int64_t>();
    x = numbered(node, 5);
    node.run(plan, x, y, std::int64_t{0});
    CHECK(bytes_of(x)[0] == 3);
  }
}

TEST_CASE("a step on a simulated chip is cancelled in its middle") {
  System system;
  auto node = system.node(sims(1));
  node.load(runtime::this_module());
  const auto program = [](Orchestrator& n, Tensor x, Slot<std::int64_t> stays) {
    n.submit("plan_stays", inout(x), scalar(stays));
    n.submit("plan_write", in(x), out(x), scalar(std::int64_t{1}));
  };
  auto x = numbered(node, 5);
  const auto plan = node.record(program, x, std::int64_t{0});
  for (int round = 1; round <= 3; ++round) {
    told = 0;
    auto run = node.submit(plan, numbered(node, 5), std::int64_t{1});
    while (entered.load() < round) std::this_thread::yield();
    run.cancel();
    told = 1;
    const auto result = run.result();
    CHECK((!result && result.error() == actors::Errc::cancelled));
    x = numbered(node, 5);
    node.run(plan, x, std::int64_t{0});
    CHECK(bytes_of(x)[0] == 4);
  }
}

TEST_CASE("what a chip was told of plans that are gone is not mistaken for the next") {
  System system;
  auto node = system.node(sims(1));
  node.load(runtime::this_module());
  for (std::int64_t round = 0; round < 40; ++round) {
    auto x = numbered(node, round);
    const auto plan = node.record(
        [round](Orchestrator& n, Tensor t) {
          for (std::int64_t i = 0; i <= round % 3 + 1; ++i)
            n.submit("plan_write", in(t), out(t), scalar(round));
        },
        x);
    x = numbered(node, 0);
    node.run(plan, x);
    CHECK(bytes_of(x)[0] == -round * (round % 3 + 2));
  }
}

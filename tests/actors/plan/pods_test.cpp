// Plans of pods, and plans of their nodes as tasks of a pod's program.
#include <doctest/doctest.h>

#include <array>
#include <string>

#include "actors/plan/layer.hpp"
#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::error_of;
using test::holds;
using test::layer;
using test::size;
using test::with_kernels;
using testing::Simulation;

namespace {

/// What the programs of the nodes have recorded; a program of a node is a plain function.
std::array<Plan, 2> recorded;

void record_here(Orchestrator& n, Tensor x, Tensor y, std::uint32_t index) {
  recorded[index] = n.record(name("layer"), layer, x, y, 1.0f);
}

void record_on_each(const Node& pod) {
  for (std::uint32_t i = 0; i < 2; ++i) {
    auto x = pod.tensor<float>({size}, 1), y = pod.tensor<float>({size});
    pod.run(
        [i](Orchestrator& p, Tensor a, Tensor b) {
          p.submit(record_here, inout(a), out(b), scalar(i), on_chip(static_cast<int>(i)));
        },
        x, y);
  }
}

struct Forgotten {
  ~Forgotten() { recorded = {}; }
};

}  // namespace

TEST_CASE("a pod's program can be recorded, and each of its submits is a step, and is placed anew") {
  Simulation sim({.chips = 1, .nodes = 2});
  auto& pod = with_kernels(sim).node();
  const auto twice = +[](Orchestrator& n, Tensor a, float r) {
    n.submit("add", in(a), in(a), out(a));
    n.submit("scale", inout(a), scalar(r));
  };
  auto x = pod.tensor<float>({size}, 1), y = pod.tensor<float>({size}, 2);
  const auto plan = pod.record(
      name("both"),
      [twice](Orchestrator& p, Tensor a, Tensor b, Slot<float> r) {
        p.submit(twice, inout(a), scalar(r), on_chip(0));
        p.submit(twice, inout(b), scalar(r), on_chip(1));
        p.submit(twice, inout(a), scalar(1.0f));
      },
      x, y, 3.0f);
  CHECK(plan.steps() == 3);
  CHECK(x.host<const float>()[0] == 1 * 6 * 2);
  auto a = pod.tensor<float>({size}, 10), b = pod.tensor<float>({size}, 20);
  pod.run(plan, a, b, 0.5f);
  CHECK(a.host<const float>()[0] == 10 * 1 * 2);
  CHECK(b.host<const float>()[0] == 20 * 1);
  CHECK(x.host<const float>()[0] == 12);
  // A program by pointer has no name that another process could find it by.
  CHECK(error_of([&] { plan.save("/nowhere/x.tplan"); })->message().find("came with its submit") !=
        std::string::npos);
}

TEST_CASE("a plan of a node is one task of its pod's program, on that node") {
  for (const std::uint64_t seed : {0, 1, 2, 3, 4, 5}) {
    Simulation sim({.seed = seed, .chips = 1, .nodes = 2});
    const Forgotten forgotten;
    auto& pod = with_kernels(sim).node();
    record_on_each(pod);
    REQUIRE((recorded[0] && recorded[1]));
    const auto before = std::array{sim.ran_on(0), sim.ran_on(1)};
    auto x = pod.tensor<float>({size}, 3), y = pod.tensor<float>({size}), z = pod.tensor<float>({size});
    pod.run(
        [](Orchestrator& p, Tensor a, Tensor b, Tensor c) {
          const auto first = p.submit(recorded[0], in(a), out(b), scalar(0.5f));
          p.submit(recorded[1], b, c, 2.0f);
          p.submit(recorded[0], c, a, 1.0f, after(first), retry(1));
          CHECK(p.read<float>(b.rows(size - 1, size)).get() == 3);
        },
        x, y, z);
    CHECK(holds(y, 3, 0.5f));
    CHECK(z.host<const float>()[size - 1] == 3 * 4);
    CHECK(x.host<const float>()[size - 1] == 3 * 4 * 2);
    CHECK(sim.ran_on(0) == before[0] + 10);
    CHECK(sim.ran_on(1) == before[1] + 5);
    // As the run of a pod, it is a program of its own.
    pod.run(recorded[1], x, y, 0.0f);
    CHECK(holds(y, 0, 0));
  }
}

TEST_CASE("a pod's recorded program may submit plans of its nodes, and its slots reach them") {
  Simulation sim({.seed = 2, .chips = 1, .nodes = 2});
  const Forgotten forgotten;
  auto& pod = with_kernels(sim).node();
  record_on_each(pod);
  auto x = pod.tensor<float>({size}, 1), y = pod.tensor<float>({size}), z = pod.tensor<float>({size});
  const auto plan = pod.record(
      name("both"),
      [](Orchestrator& p, Tensor a, Tensor b, Tensor c, Slot<float> r) {
        p.submit(recorded[0], a, b, r);
        p.submit(recorded[1], b, c, 1.0f);
      },
      x, y, z, 2.0f);
  CHECK(plan.steps() == 2);
  CHECK(z.host<const float>()[size - 1] == 1 * 4 * 2);
  auto a = pod.tensor<float>({size}, 10);
  pod.run(plan, a, y, z, 0.5f);
  CHECK(holds(y, 10, 0.5f));
  CHECK(z.host<const float>()[size - 1] == 20);
}

TEST_CASE("what does not fit a node's plan is refused by the pod, and its failures come up named") {
  Simulation sim({.chips = 1, .nodes = 2});
  const Forgotten forgotten;
  auto& pod = with_kernels(sim).node();
  record_on_each(pod);
  auto x = pod.tensor<float>({size}, 3), y = pod.tensor<float>({size});
  CHECK(error_of([&] { pod.run(recorded[0], x, y); }) == Errc::bad_argument);
  CHECK(error_of([&] { pod.run(recorded[0], x, pod.tensor<float>({size + 1}), 1.0f); }) ==
        Errc::bad_argument);
  CHECK(error_of([&] { pod.run(recorded[0], x, y, 0.1); }));
  // Bytes that two parameters share are seen where they are used.
  CHECK(error_of([&] { pod.run(recorded[0], x, x, 1.0f); }));
  sim.fault(testing::fail("set").at(1).with("no power"));
  const auto error = error_of([&] { pod.run(recorded[0], x, y, 1.0f); });
  REQUIRE(error);
  const auto text = render(*error);
  CAPTURE(text);
  CHECK(text.find("\"set\"") != std::string::npos);
  CHECK(text.find("no power") != std::string::npos);
  y.overwrite<float>();
  pod.run(recorded[0], x, y, 1.0f);
  CHECK(holds(y, 3, 1));
}

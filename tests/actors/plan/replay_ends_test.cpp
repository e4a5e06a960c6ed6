// Plans: replays that fail, are cancelled, are late, or lose their chip; and that the next one is right.
#include <doctest/doctest.h>

#include <chrono>
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

TEST_CASE("a failure in a replay names the task, and the next replay works") {
  for (const std::uint64_t seed : {0, 1, 2, 3, 4, 5}) {
    Simulation sim({.seed = seed, .chips = 1, .credit = 2});
    auto& node = with_kernels(sim).node();
    auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size});
    auto plan = node.record(name("layer"), layer, x, y, 0.5f);
    sim.fault(testing::fail("set").at(1).with("no power"));
    const auto error = error_of([&] { node.run(plan, x, y, 1.0f); });
    REQUIRE(error.has_value());
    CHECK(*error == Errc::task_failed);
    INFO(error->message());
    CHECK(error->message().find("\"layer\"") != std::string::npos);
    CHECK(error->message().find("\"set\"") != std::string::npos);
    CHECK(error->message().find("no power") != std::string::npos);
    CHECK(error_of([&] { (void)y.host<const float>(); }) == Errc::data_lost);
    node.run(plan, x, y, 2.0f);
    CHECK(holds(y, 3, 2));
  }
}

TEST_CASE("a chip that dies in the middle of a replay") {
  for (std::uint64_t at = 1; at < 6; ++at) {
    for (const std::uint64_t seed : {0, 1, 2, 3}) {
      Simulation sim({.seed = seed, .chips = 1, .credit = 2});
      auto& node = with_kernels(sim).node();
      auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size});
      auto plan = node.record(layer, x, y, 0.5f);
      sim.fault(testing::kill_chip(0).at(at));
      const auto error = error_of([&] { node.run(plan, x, y, 1.0f); });
      REQUIRE(error.has_value());
      CHECK(*error == Errc::chip_lost);
      node.run(plan, x, y, 2.0f);
      CHECK(holds(y, 3, 2));
      // All of it again, on the next life of the chip.
      sim.fault(testing::kill_chip(0).at(at));
      node.run([&](Orchestrator& n, Tensor a, Tensor b) { n.submit(plan, a, b, 3.0f, retry(2), idempotent); },
               x, y);
      CHECK(holds(y, 3, 3));
    }
  }
}

TEST_CASE("a replay that is cancelled, or late, ends") {
  for (const std::uint64_t seed : {0, 1, 2, 3, 4, 5, 6, 7}) {
    for (std::size_t steps = 0; steps < 60; steps += 3) {
      Simulation sim({.seed = seed, .chips = 1, .credit = 2});
      auto& node = with_kernels(sim).node();
      auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size});
      auto plan = node.record(layer, x, y, 0.5f);
      auto run = node.submit(plan, x, y, 1.0f);
      sim.steps(steps);
      run.cancel();
      const auto result = run.result();
      CHECK((result || result.error() == Errc::cancelled));
      node.run(plan, x, y, 2.0f);
      CHECK(holds(y, 3, 2));
    }
  }
  Simulation sim({.chips = 1});
  auto& node = with_kernels(sim).node();
  auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size});
  auto plan = node.record(layer, x, y, 0.5f);
  sim.fault(testing::delay(std::chrono::hours(1)).of("set").at(1));
  const auto late = error_of([&] {
    node.run([&](Orchestrator& n) { n.submit(plan, x, y, 1.0f, deadline(std::chrono::seconds(1))); });
  });
  CHECK(late == Errc::deadline_exceeded);
}

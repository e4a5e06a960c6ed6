#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>
#include <troupe/testing.hpp>

#include "pod_program.hpp"

using namespace troupe;

namespace {

// What the kernel does on the scripted chips of these tests.
void define_square(testing::Simulation& sim) {
  sim.kernel("square", [](auto& call) {
    const auto from = call.template tensor<const float>(0);
    const auto to = call.template tensor<float>(1);
    for (std::size_t i = 0; i < from.size(); ++i) to[i] = from[i] * from[i];
  });
}

TEST_CASE("the pod squares every row, in whatever order things happen") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    testing::Simulation sim({.seed = seed, .chips = 2, .nodes = 2});
    define_square(sim);
    auto x = sim.node().tensor<float>({8, 4}, 3.0f), failures = sim.node().tensor<float>({1});
    CAPTURE(sim.replay());
    sim.node().run(square_all, x, failures);
    for (const float value : x.host<const float>()) CHECK(value == 9.0f);
    CHECK(failures.host<const float>()[0] == 0.0f);
  }
}

TEST_CASE("a kernel that fails once is tried again") {
  testing::Simulation sim({.seed = 3, .chips = 2, .nodes = 2});
  define_square(sim);
  sim.fault(testing::fail("square").at(1));
  auto x = sim.node().tensor<float>({8, 4}, 3.0f), failures = sim.node().tensor<float>({1});
  sim.node().run(square_all, x, failures);
  CHECK(sim.tried("square") > sim.ran("square"));
  for (const float value : x.host<const float>()) CHECK(value == 9.0f);
}

TEST_CASE("a chip that dies is started again, and its task with it") {
  testing::Simulation sim({.seed = 3, .chips = 2, .nodes = 2});
  define_square(sim);
  sim.fault(testing::kill_chip(3).at(1));  // chips count on from node to node: the second one of node 1
  auto x = sim.node().tensor<float>({8, 4}, 3.0f), failures = sim.node().tensor<float>({1});
  sim.node().run(square_all, x, failures);
  for (const float value : x.host<const float>()) CHECK(value == 9.0f);
  CHECK(failures.host<const float>()[0] == 0.0f);
}

TEST_CASE("a part that fails for good costs its own rows and no others") {
  testing::Simulation sim({.seed = 3, .chips = 1, .nodes = 2});
  define_square(sim);
  sim.fault(testing::fail("square").on_chip(1).times(3).with("the sensor is gone"));  // node 1, every attempt
  auto x = sim.node().tensor<float>({8, 4}, 3.0f), failures = sim.node().tensor<float>({1});
  sim.node().run(square_all, x, failures);
  CHECK(failures.host<const float>()[0] == 1.0f);
  const auto first = x.rows(0, 4).host<const float>();
  CHECK(first[0] == 9.0f);
}

}  // namespace

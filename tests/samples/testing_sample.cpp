#include <doctest/doctest.h>

#include <troupe/testing.hpp>

using namespace troupe;

// The program under test: two steps on the same tensor.
void two_steps(Orchestrator& node) {
  auto x = node.alloc<float>({1});
  node.submit("start", out(x));
  node.submit("step", inout(x), retry(3), idempotent);
}

TEST_CASE("two_steps runs its steps in order") {
  testing::Simulation sim({.seed = 7, .chips = 2});
  sim.kernel("start", [](auto&) {});
  sim.kernel("step", [](auto&) {});
  sim.node().run(two_steps);
  CHECK(sim.order() == "start step");
}

TEST_CASE("two_steps survives a step that fails once") {
  testing::Simulation sim({.seed = 7, .chips = 2});
  sim.kernel("start", [](auto&) {});
  sim.kernel("step", [](auto&) {});
  sim.fault(testing::fail("step").at(1));
  sim.node().run(two_steps);
  CHECK(sim.tried("step") == 2);
  CHECK(sim.ran("step") == 1);
}

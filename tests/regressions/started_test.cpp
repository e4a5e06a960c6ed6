// The first one: kernels of this program are found in its own module on a real simulated platform, so that
// what the other regressions say of them is said of the real thing.
#include <doctest/doctest.h>

#include "support/built.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;

TROUPE_KERNEL(regression_add_one)(KernelArgs& k) {
  for (auto& element : k.tensor<float>(0)) element += 1.0F;
}

TEST_CASE("a kernel of the regressions runs on a simulated chip") {
  System system;
  auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 1});
  node.load(this_module());
  auto x = node.tensor<float>({4}, 1.0F);
  node.run([&](Orchestrator& program) { program.submit("regression_add_one", inout(x)); });
  CHECK(x.host<const float>()[3] == 2.0F);
}

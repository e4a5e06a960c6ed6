// What docs/scaling.md shows, run.
#include <doctest/doctest.h>

#include <string>

#include "support/built.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;

TEST_CASE("the sample of the page about processes") {
  const std::string module_file = tests::built("tests/platform/isolated/isolated_kernels.so");
  System system;
  auto node = system.node({.chips = 2, .own_process = true});
  node.load(module_file);  // kernels have to be in a module
  auto x = node.tensor<float>({4});
  node.run([](Orchestrator& n, Tensor a) { n.submit("isolated_add", inout(a), scalar(1.0F)); }, x);
  CHECK(x.host<const float>()[3] == 1.0F);
}

// Graphs of chips of a node elsewhere.
#include "fixture.hpp"
#include "platform/isolated/long_graph.hpp"

using namespace troupe;
using namespace troupe::test;

TEST_CASE("a graph longer than a frame is registered on a chip of a node elsewhere, launched and forgotten") {
  const TestNode node;
  IsolatedChip chip(node.chip());
  check_long_graph(chip);
}

TEST_CASE("a node whose chip dies in a graph says that it was lost, and the program's memory is as it was") {
  const TestNode node;
  IsolatedChip chip(node.chip());
  const auto crash = chip.context->register_graph(
      LongGraph(chip.kernel("isolated_add"), 5, 16, chip.kernel("isolated_crash")).graph());
  std::vector<float> x(16, 1.0F);
  CHECK(launch_graph(chip, crash.value(), x, 1.0F, 1).code == TROUPE_DEVICE_LOST);
  CHECK(x == std::vector<float>(16, 1.0F));
}

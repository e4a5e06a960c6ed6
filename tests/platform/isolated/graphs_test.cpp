// Graphs of chips in processes of their own; what all platforms promise of graphs is in the conformance
// suite.
#include "long_graph.hpp"

using namespace troupe;
using namespace troupe::test;

TEST_CASE("a graph longer than a frame is registered on a chip of its own process, launched and forgotten") {
  IsolatedChip chip;
  check_long_graph(chip);
}

TEST_CASE("a chip whose process dies in a graph ends the launch as lost, and forgets the graph") {
  IsolatedChip chip;
  const auto crash = chip.context->register_graph(
      LongGraph(chip.kernel("isolated_add"), 5, 16, chip.kernel("isolated_crash")).graph());
  std::vector<float> x(16, 1.0F);
  CHECK(launch_graph(chip, crash.value(), x, 1.0F, 1).code == TROUPE_DEVICE_LOST);
  CHECK(x == std::vector<float>(16, 1.0F));
  CHECK(contains(chip.lost(), "kernel 'isolated_crash' of task 'step 4'"));
  chip.context->reset_device().value();
  chip.context->set_device(0).value();
  CHECK(launch_graph(chip, crash.value(), x, 1.0F, 2).code == TROUPE_DEVICE_UNKNOWN_CALLABLE);
}

// Order without wiring: tags say who reads and who writes, views say what part; the rest follows. An explicit
// edge where the data does not show it, and scopes for what is needed only for a while.
#include <troupe/troupe.hpp>

#include "examples/check.hpp"

using namespace troupe;

void dependencies(Orchestrator& node) {
  auto x = node.alloc<float>({64, 16});
  auto total = node.tensor<float>({1}, 0.0f);

  // The halves are disjoint, so these two run at the same time …
  node.submit("set_all", out(x.rows(0, 32)), scalar(1.0f), name("set upper half"));
  node.submit("set_all", out(x.rows(32, 64)), scalar(2.0f), name("set lower half"));
  // … this one touches both and waits for both (raw), …
  node.submit("multiply", inout(x), scalar(10.0f));
  // … these two read the same x at the same time, but take turns on `total` (inout).
  node.submit("add_up", in(x.rows(0, 32)), inout(total), name("sum upper half"));
  node.submit("add_up", in(x.rows(32, 64)), inout(total), name("sum lower half"));
  // Overwriting x waits for its readers (war).
  node.submit("set_all", out(x), scalar(0.0f), name("clear"));

  for (int round = 0; round < 4; ++round) {
    auto scope = node.scope();  // `scratch` ends with the round, its memory serves the next
    auto scratch = node.alloc<float>({1024});
    auto filled = node.submit("set_all", out(scratch), scalar(0.5f));
    // No data says that the sum must wait for this marker, so it is told.
    auto marker = node.submit_sub([](HostArgs&) {}, after(filled), name("marker"));
    node.submit("add_up", in(scratch), inout(total), after(marker));
  }
  const float sum = node.read<float>(total);
  apps::expect(sum == 512 * 10.0f + 512 * 20.0f + 4 * 512.0f, "the sums add up");
}
TROUPE_PROGRAM(dependencies);

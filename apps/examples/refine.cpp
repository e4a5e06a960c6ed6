// A coroutine looks at results while it goes: Newton's method for a square root, until the step is small. No
// thread is blocked while it waits; thousands of such programs run on a few threads.
#include <cmath>
#include <troupe/troupe.hpp>

#include "examples/check.hpp"

using namespace troupe;

Program refine(Orchestrator& node, float number, float tolerance) {
  apps::require(number > 0 && tolerance > 0,
                "only numbers above 0 have a root to refine, to a tolerance above 0",
                "--param number=2 --param tolerance=1e-5");
  auto x = node.tensor<float>({1}, number);
  for (int steps = 1;; ++steps) {
    auto change = node.alloc<float>({1});
    node.submit("newton_step", inout(x), out(change), scalar(number));
    if ((co_await node.read<float>(change)) < tolerance) break;
    apps::expect(steps < 100, "it converges");
  }
  const float root = co_await node.read<float>(x);
  apps::expect(std::abs(root * root - number) < 1e-5f * number, "the root squared is the number");
}
TROUPE_PROGRAM(refine);

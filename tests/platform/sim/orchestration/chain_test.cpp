// Orchestrations that were compiled for the other system, from loading them to their results.
#include <doctest/doctest.h>

#include "orchestration/orchestrations.hpp"

using namespace troupe;
using namespace troupe::test;

TEST_CASE(
    "an orchestration object submits two tasks on its kernels, and the second reads what the first made") {
  for (const auto* platform : platforms) {
    for (const auto* runtime : runtimes) {
      CAPTURE(platform);
      CAPTURE(runtime);
      Orchestrations chip(platform);
      const auto chain = chip.add_packed("chain", runtime, {{0, "linear"}, {7, "linear"}});
      std::vector<float> x(32, 3.0f), y(32, 0.0f);
      const auto done = chip.run(chain, RunArgs::of(in(Tensor::host(x.data(), {32})),
                                                    out(Tensor::host(y.data(), {32})), scalar(0.5f)));
      REQUIRE_MESSAGE(done.has_value(), render(done.error()));
      CHECK(done->chip_tasks == 2);
      CHECK(y == std::vector<float>(32, 70.5f));
    }
  }
}

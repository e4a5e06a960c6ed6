// Times that a node says are by its clock; a program hears them by its own.
#include <chrono>

#include "between.hpp"

using namespace troupe;
using namespace troupe::test;
using namespace std::chrono_literals;

TEST_CASE("the times of a run that is waited for are by this machine's clock") {
  const TestNode node;
  Between between(node);
  // Its clock is this one's in truth, so the times come out as earlier by that.
  between.set_ahead(1h);
  IsolatedChip chip(node.chip(0, {1, 2}, between.address()));
  const auto run = platform::RunArgs().run(1, chip.kernel("isolated_nothing"));
  const auto before = chip.host->now();
  const auto end = chip.context->run(run).value();
  for (const auto time : {end.queued_ns, end.started_ns, end.finished_ns}) {
    const auto later = std::chrono::nanoseconds(static_cast<std::int64_t>(time - before));
    CHECK(later + 1h < 30min);
    CHECK(later + 1h > -30min);
  }
  CHECK(end.queued_ns <= end.started_ns);
  CHECK(end.started_ns <= end.finished_ns);
}

#include <doctest/doctest.h>

#include "runs/runs.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::platform::common;

namespace {

void end(FailedRuns& failed, std::uint64_t correlation, Outcome outcome) {
  Run run;
  run.correlation = correlation;
  run.outcome = std::move(outcome);
  failed.ended(run);
}

}  // namespace

TEST_CASE("who depends on a run that failed is skipped, and told which failure was the first") {
  FailedRuns failed;
  end(failed, 1, {});
  CHECK(failed.empty());
  end(failed, 2, Error(platform::Errc::kernel_failed, "no"));
  CHECK_FALSE(failed.skips(1));
  auto next = failed.skips(2);
  REQUIRE(next);
  CHECK(next->code == TROUPE_DEVICE_POISONED);
  CHECK(next->caused_by == 2);
  end(failed, 3, *next);
  REQUIRE(failed.skips(3));
  CHECK(failed.skips(3)->caused_by == 2);
  failed.settled(3);  // nothing is launched any more that depends on what was before
  CHECK_FALSE(failed.skips(2));
  CHECK(failed.skips(3));
}

TEST_CASE("what nobody can depend on is not remembered") {
  FailedRuns failed;
  end(failed, 0, Error(platform::Errc::kernel_failed, "a run that its caller waited for"));
  CHECK(failed.empty());
  CHECK_FALSE(failed.skips(0));
}

#include <doctest/doctest.h>

#include "engine/run_failure.hpp"

using namespace troupe;
using platform::Errc;
using platform::sim::RunFailure;

TEST_CASE("a run has one failure, the first") {
  RunFailure failure;
  CHECK(failure.code() == 0);
  CHECK_FALSE(failure.error());
  CHECK(failure.set(Error(Errc::kernel_failed, "one")));
  CHECK_FALSE(failure.set(Error(Errc::aborted, "two")));
  REQUIRE(failure.error());
  CHECK(failure.error()->message() == "one");
  CHECK(failure.code() == static_cast<std::int32_t>(Errc::kernel_failed));
  failure.reset();
  CHECK(failure.code() == 0);
  CHECK_FALSE(failure.error());
}

TEST_CASE("an announced abort stops what starts at once, and is no failure until it is taken") {
  RunFailure failure;
  failure.announce_abort();
  CHECK(failure.code() == static_cast<std::int32_t>(Errc::aborted));
  CHECK_FALSE(failure.error());
  CHECK(failure.take_announced());
  CHECK_FALSE(failure.take_announced());
}

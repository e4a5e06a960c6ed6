// `RunOptions::deadline` did not say what becomes of a program that computes in its own code when it passes:
// its run did not end, and nothing told why.
//
// Promised now, by header and pages: the run is given up when the deadline passes. Its tasks are cancelled
// and the program's next call throws. Code between calls is not interrupted: the run ends, and who waits is
// answered, when the program calls or returns; until then `why` says what is waited for.
#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::Errc;
using testing::Simulation;

TEST_CASE("a run whose program computes past the deadline ends when the program calls or returns") {
  for (const bool calls : {false, true}) {
    CAPTURE(calls);
    Simulation sim({.chips = 1});
    sim.kernel("step", [](auto&) {});
    Handle handle;
    std::string why;
    bool done_while_it_computes = true;
    std::optional<Error> thrown;
    handle = sim.node().submit(RunOptions{.name = "slow", .deadline = 1s}, [&](Orchestrator& program) {
      sim.advance(2s);  // it computes
      done_while_it_computes = handle.done();
      why = handle.why();
      if (calls) thrown = test::error_of([&] { program.submit("step"), program.drain(); });
    });
    const auto result = handle.result();
    REQUIRE_FALSE(result);
    CHECK(result.error() == Errc::deadline_exceeded);
    CHECK_FALSE(done_while_it_computes);
    CHECK_MESSAGE(why.find("in code of its own") != std::string::npos, why);
    if (calls) CHECK(thrown.value() == Errc::deadline_exceeded);
    CHECK(sim.ran("step") == 0);
  }
}

// `node.submit` promised to start a program and return; when `max_runs` programs were under way, the next
// submit blocked its caller until one of them had ended (and for ever, when the caller was to end it).
// Promised now: it returns at once. The run waits to begin, can be asked why, cancelled and be too late.
#include <doctest/doctest.h>

#include <future>

#include "support/error_of.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::Errc;
using test::error_of;

namespace {

/// A node that runs one program at a time, and one that is under way until it may end.
struct FullNode {
  std::promise<void> begun, may_end;
  System system{SystemConfig{.log_level = 0}};
  Node node = system.node({.chips = 0, .max_runs = 1});
  Handle first = node.submit([this](Orchestrator&) {
    begun.set_value();
    may_end.get_future().wait();
  });
  FullNode() { begun.get_future().wait(); }
};

}  // namespace

TEST_CASE("a submit returns at once when as many programs run as the node takes") {
  FullNode full;
  int ran = 0;
  const auto second = full.node.submit([&](Orchestrator&) { ++ran; });
  const auto third = full.node.submit(RunOptions{.name = "urgent", .priority = 1},
                                      [&](Orchestrator&) { ran = ran * 10 + 5; });
  CHECK_FALSE(second.done());
  CHECK(full.node.status().queued == 2);
  CHECK(second.why() == "the program waits to begin: `max_runs` others are under way");
  full.may_end.set_value();
  second.get();
  third.get();
  CHECK(ran == 6);  // the urgent one first: 0 * 10 + 5, then 1 more
}

TEST_CASE("a run that waits to begin can be cancelled, and its program never begins") {
  FullNode full;
  bool ran = false;
  const auto second = full.node.submit([&](Orchestrator&) { ran = true; });
  second.cancel();
  const auto result = second.result();
  REQUIRE_FALSE(result);
  CHECK(result.error() == Errc::cancelled);
  full.may_end.set_value();
  full.first.get();
  full.node.run([](Orchestrator&) {});  // the node goes on
  CHECK_FALSE(ran);
}

TEST_CASE("the deadline of a run counts from its submit, also while it waits to begin") {
  FullNode full;
  bool ran = false;
  const auto second = full.node.submit(RunOptions{.deadline = 1ns}, [&](Orchestrator&) { ran = true; });
  CHECK(second.result().error() == Errc::deadline_exceeded);
  full.may_end.set_value();
  full.first.get();
  CHECK_FALSE(ran);
}

TEST_CASE("a system that ends answers those who wait to begin") {
  Handle second;
  {
    FullNode full;
    second = full.node.submit([](Orchestrator&) {});
    full.may_end.set_value();
    // Whether it still began is open; it is answered either way.
  }
  (void)second.result();
  CHECK(second.done());
}

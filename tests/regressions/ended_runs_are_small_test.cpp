// A timer that is set keeps its actor until it fires. A run with a deadline that had ended let go of its
// buffers, but kept its task graph, and all else a run has; two thousand of them held tens of MiB for a
// minute. One that was ended before it began kept all it had. And one that was given up while it waited to
// begin was counted as waiting, and could begin, between its end and the message that says so.
//
// Promised now: of a run that has ended nothing is left but its outcome; and it does not wait, and never
// begins.
#include <doctest/doctest.h>

#include "system/core.hpp"
#include "trace/trace.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/actors/trace_sink.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::Errc;

namespace {

/// Each run has the recorder of its system for as long as it is there.
long users(testing::Simulation& sim) {
  return actors::SystemAccess::core(sim.system()).services->recorder().use_count();
}

void settle(testing::Simulation& sim) {
  while (sim.steps(1000) > 0) {
  }
}

/// A node of the simulation that runs one program at a time.
Node one_at_a_time(testing::Simulation& sim) {
  NodeConfig config{.name = "narrow", .chips = 1, .max_runs = 1};
  config.device = [script = sim.script()](int, std::uint32_t) mutable {
    return Result<platform::DeviceApi>(script.api());
  };
  return sim.system().node(config);
}

}  // namespace

TEST_CASE("of runs that have ended nothing is left, whatever deadlines are still to come") {
  testing::Simulation sim(
      {.chips = 1, .trace = std::make_shared<actors::TraceSink>(actors::TraceSink::Options{})});
  sim.kernel("step", [](auto&) {});
  auto& node = sim.node();
  const auto before = users(sim);
  std::vector<Handle> handles;
  std::vector<std::weak_ptr<int>> tasks;
  for (int i = 0; i < 20; ++i) {
    auto token = std::make_shared<int>(i);
    tasks.emplace_back(token);
    handles.push_back(node.submit({.deadline = 60s}, [token](Orchestrator& n) -> actors::Program {
      n.submit_sub([token](HostArgs&) {}, deadline(30s));
      n.submit("step", deadline(40s));
      co_return;
    }));
  }
  CHECK(users(sim) > before);
  settle(sim);
  for (const auto& handle : handles) CHECK(handle.result());
  CHECK(users(sim) == before);
  for (const auto& task : tasks) CHECK(task.expired());
}

TEST_CASE("of a run that was cancelled nothing is left, and of one that never began") {
  testing::Simulation sim(
      {.chips = 1, .trace = std::make_shared<actors::TraceSink>(actors::TraceSink::Options{})});
  sim.kernel("wait", [](auto& call) { call.waits(); });
  auto node = one_at_a_time(sim);
  node.add_kernel("wait");
  const auto before = users(sim);
  auto x = node.tensor<float>({4});
  const auto program = [](Orchestrator& n, Tensor y) -> actors::Program {
    n.submit("wait", inout(y), deadline(1800s));
    co_return;
  };
  auto first = node.submit({.deadline = 3600s}, program, x);
  auto second = node.submit({.deadline = 3600s}, program, x);
  settle(sim);
  CHECK(users(sim) > before);
  second.cancel();
  first.cancel();
  CHECK(first.result().error() == Errc::cancelled);
  CHECK(second.result().error() == Errc::cancelled);
  settle(sim);
  CHECK(users(sim) == before);
}

TEST_CASE("a run that was given up while it waited is not counted as waiting, and does not begin") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    CAPTURE(seed);
    testing::Simulation sim({.seed = seed, .chips = 1});
    sim.kernel("step", [](auto&) {});
    auto node = one_at_a_time(sim);
    node.add_kernel("step");
    bool began = false;
    auto first = node.submit([](Orchestrator& n) { n.submit("step"); });
    auto second = node.submit([&began](Orchestrator&) -> actors::Program {
      began = true;
      co_return;
    });
    second.cancel();
    while (!second.done()) REQUIRE(sim.steps(1) == 1);
    const bool began_before = began;
    CHECK(node.status().queued == 0);
    settle(sim);
    CHECK(began == began_before);
    CHECK(first.result());
  }
}

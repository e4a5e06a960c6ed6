// `troupe run` said "2 tasks", the summary of the same run's trace "4 tasks, kernels and programs included",
// the timeline page a third number, and a program that read results counted its reads. Now a task is what a
// program submitted, everywhere: a read, a kernel inside a task, an attempt or a run is none.
#include <doctest/doctest.h>

#include "troupe/actors/trace_sink.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using testing::Simulation;

TEST_CASE("what a program reads is no task, and the tasks of programs below are told beside its own") {
  Simulation sim({.chips = 1, .nodes = 2});
  sim.kernel("step", [](auto& call) { call.template tensor<float>(0)[0] += 1; });
  auto& pod = sim.node();
  auto x = pod.tensor<float>({1}), y = pod.tensor<float>({1});
  auto handle = pod.submit(
      [](Orchestrator& p, Tensor a, Tensor b) -> Program {
        const auto twice = +[](Orchestrator& n, Tensor t) {
          n.submit("step", inout(t));
          n.submit("step", inout(t));
        };
        p.submit(twice, inout(a));
        p.submit(twice, inout(b));
        auto data = co_await p.read<float>(a);
        (void)data;
      },
      x, y);
  const auto report = handle.report();
  REQUIRE_FALSE(report.error);
  CHECK(report.tasks == 2);
  CHECK(report.completed == 2);
  CHECK(report.inside == 4);
}

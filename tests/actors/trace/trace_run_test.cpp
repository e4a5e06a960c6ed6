// What whole runs leave in a trace, by the names that the documentation gives it.
#include <doctest/doctest.h>

#include <algorithm>

#include "troupe/actors/trace_sink.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::SpanKind;
using actors::Trace;
using actors::TraceSink;
using actors::TraceSpan;
using actors::WaitReason;
using testing::Simulation;

namespace {

std::vector<TraceSpan> named(const Trace& trace, const std::string& name) {
  std::vector<TraceSpan> spans;
  for (const auto& span : trace.spans) {
    if (trace.text(span.name) == name) spans.push_back(span);
  }
  return spans;
}

void step_on_any(Orchestrator& n, Tensor x) { n.submit("step", inout(x), retry(1), idempotent); }

}  // namespace

TEST_CASE("a chip that is restarted is a mark on its lane, with the reason") {
  const auto sink = std::make_shared<TraceSink>(TraceSink::Options{});
  Simulation sim({.chips = 1, .trace = sink});
  sim.kernel("step", [](auto&) {});
  sim.fault(testing::kill_chip(0));
  auto& node = sim.node();
  node.run(step_on_any, node.tensor<float>({1}));
  const Trace trace = sink->snapshot();
  const auto marks = named(trace, "restarted");
  REQUIRE(marks.size() == 1);
  CHECK(marks[0].kind == SpanKind::mark);
  CHECK(trace.lanes[marks[0].lane].process == "node0/chip0");
  CHECK_FALSE(trace.text(marks[0].error).empty());
}

TEST_CASE("a program that waits for room leaves a span of that, plain function or coroutine") {
  const auto submit_all = [](Orchestrator& n, Tensor t) {
    for (int i = 0; i < 200; ++i) n.submit("step", inout(t));
  };
  const auto ask_for_room = [](Orchestrator& n, Tensor t) -> Program {
    for (int i = 0; i < 40; ++i) {
      n.submit("step", inout(t));
      co_await n.room();
    }
  };
  const auto waits_of = [](auto program) {
    const auto sink = std::make_shared<TraceSink>(TraceSink::Options{});
    Simulation sim({.chips = 1, .soft_limit = 4, .trace = sink});
    sim.kernel("step", [](auto&) {});
    sim.fault(testing::delay(1ms).of("step").times(40));
    auto& node = sim.node();
    node.run(program, node.tensor<float>({1}));
    const Trace trace = sink->snapshot();
    const auto waits = named(trace, "room");
    CHECK(std::ranges::all_of(waits, [](const TraceSpan& span) { return span.wait == WaitReason::room; }));
    CHECK(std::ranges::all_of(waits, [&](const TraceSpan& span) {
      return trace.lanes[span.lane].process == "node0" && trace.lanes[span.lane].thread == "programs";
    }));
    return std::ranges::count_if(waits, [](const TraceSpan& span) { return span.start > span.ready; });
  };
  CHECK(waits_of(submit_all) > 0);
  CHECK(waits_of(ask_for_room) > 0);
}

TEST_CASE("a node's program hangs below the pod's task that it is") {
  const auto sink = std::make_shared<TraceSink>(TraceSink::Options{});
  Simulation sim({.chips = 1, .nodes = 2, .trace = sink});
  sim.kernel("step", [](auto&) {});
  auto& pod = sim.node();
  sim.advance(1ms);  // a chip's time 0 means that it is not known
  pod.run([](Orchestrator& p, Tensor x) { p.submit(step_on_any, inout(x), on_chip(1), name("on node 1")); },
          pod.tensor<float>({1}));
  const Trace trace = sink->snapshot();
  const auto task = named(trace, "on node 1");
  REQUIRE(task.size() == 2);  // the task as the pod sees it, and the run on the node
  const auto& above = trace.lanes[task[0].lane].process == "pod0" ? task[0] : task[1];
  const auto& run = trace.lanes[task[0].lane].process == "pod0" ? task[1] : task[0];
  CHECK(run.parent == above.task);
  CHECK(trace.lanes[run.lane].process == "pod0/node1");
  const auto step = named(trace, "step");
  REQUIRE(step.size() == 1);
  CHECK(step[0].parent == run.task);
}

TEST_CASE("bytes that move, copies and fills are spans of the chip, with how many they were") {
  const auto sink = std::make_shared<TraceSink>(TraceSink::Options{});
  Simulation sim({.chips = 2, .trace = sink});
  sim.kernel("step", [](auto&) {});
  auto& node = sim.node();
  auto x = node.tensor<float>({1024}), y = node.tensor<float>({16});
  node.run(
      [](Orchestrator& n, Tensor a, Tensor b) {
        n.submit("step", inout(a), on_chip(0));
        n.submit("step", inout(a), on_chip(1));
        n.fill(b, 1.0F, name("clear b"), on_chip(1));
      },
      x, y);
  (void)x.host<const float>();
  const Trace trace = sink->snapshot();
  const auto in = named(trace, "to the chip"), across = named(trace, "from another chip"),
             out = named(trace, "to host memory");
  REQUIRE(in.size() == 1);
  REQUIRE(across.size() == 1);
  REQUIRE(out.size() == 1);
  CHECK(across[0].bytes == 4096);
  CHECK(trace.lanes[across[0].lane].process == "node0/chip1");
  CHECK(out[0].kind == SpanKind::move);
  CHECK(out[0].bytes == 4096);
  CHECK(trace.lanes[out[0].lane].process == "node0/chip1");
  CHECK(trace.lanes[out[0].lane].thread == "moves");
  const auto fills = named(trace, "clear b");
  REQUIRE(fills.size() == 1);
  CHECK(fills[0].ran());
  CHECK(trace.lanes[fills[0].lane].process == "node0/chip1");
}

TEST_CASE("copies and fills of device tensors and windows are moves too, in programs and by hand") {
  const auto sink = std::make_shared<TraceSink>(TraceSink::Options{});
  Simulation sim({.chips = 1, .trace = sink});
  auto& node = sim.node();
  constexpr std::uint64_t small = 1024 * sizeof(float), large = 1U << 20U;  // goes on a thread of its own
  auto a = node.chip(0).malloc<float>({1024}), b = node.chip(0).malloc<float>({1024});
  auto much = node.chip(0).malloc<float>({large / sizeof(float)});
  auto x = node.tensor<float>({1024}, 1.0F);
  auto bytes_of = [&sink, seen = std::size_t{0}]() mutable {
    std::string text;
    const auto trace = sink->snapshot();
    std::vector<TraceSpan> moves;
    for (const auto& span : trace.spans) {
      if (span.kind == SpanKind::move) moves.push_back(span);
    }
    for (std::size_t i = seen; i < moves.size(); ++i) {
      CHECK(trace.lanes[moves[i].lane].process == "node0/chip0");
      CHECK(moves[i].ran());
      text += (text.empty() ? "" : ", ") + trace.text(moves[i].name) + " " + std::to_string(moves[i].bytes);
    }
    seen = moves.size();
    return text;
  };
  const auto in = "to the chip " + std::to_string(small), out = "to host memory " + std::to_string(small);
  node.run([&](Orchestrator& n) {
    DomainSpec spec;
    spec.chips = {0};
    spec.buffers = {{"w", small}};
    const auto domain = n.allocate_domain(spec).get();
    n.copy(domain.rank(0).buffer<float>("w"), x);
    n.copy(x, domain.rank(0).buffer<float>("w"));
    n.drain();
  });
  CHECK(bytes_of() == in + ", " + out);
  node.run([&](Orchestrator& n) { n.copy(b, a); });
  CHECK(bytes_of() == out + ", " + in);
  node.run([&](Orchestrator& n) { n.fill(a, 1.0F); });
  CHECK(bytes_of() == in);
  node.run([&](Orchestrator& n) { n.fill(much, 1.0F); });
  CHECK(bytes_of() == "to the chip " + std::to_string(large));
  node.run([&](Orchestrator& n) { n.copy(x, x.rows(0, 1024)); });
  CHECK(bytes_of().empty());  // it stays in host memory
  node.chip(0).copy_to(a, x);
  CHECK(bytes_of() == in);
  node.chip(0).copy_from(x, b);
  CHECK(bytes_of() == out);
}

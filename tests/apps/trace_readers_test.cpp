#include <doctest/doctest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "apps/synthetic_trace.hpp"
#include "errc.hpp"
#include "trace/analysis.hpp"
#include "trace/graph.hpp"
#include "trace/html.hpp"
#include "trace/read.hpp"

namespace {

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::apps;
using troupe::test::synthetic_trace;

std::string chrome(const Trace& trace) {
  std::ostringstream out;
  write_chrome_trace(trace, out);
  return out.str();
}

Result<Trace> parse(const std::string& text) {
  std::istringstream in(text);
  return read_trace(in, "t.json");
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST_CASE("a trace survives being written and read") {
  const Trace trace = synthetic_trace();
  const Trace again = parse(chrome(trace)).value();
  REQUIRE(again.spans.size() == trace.spans.size());
  for (std::size_t i = 0; i < trace.spans.size(); ++i) {
    CAPTURE(i);
    const TraceSpan &a = trace.spans[i], &b = again.spans[i];
    CHECK(a.task == b.task);
    CHECK(a.parent == b.parent);
    CHECK(trace.lanes[a.lane] == again.lanes[b.lane]);
    CHECK(trace.text(a.name) == again.text(b.name));
    CHECK(trace.text(a.error) == again.text(b.error));
    CHECK(trace.text(a.tags) == again.text(b.tags));
    CHECK(a.kind == b.kind);
    CHECK(a.outcome == b.outcome);
    CHECK(a.wait == b.wait);
    CHECK(a.submitted == b.submitted);
    CHECK(a.ready == b.ready);
    CHECK(a.start == b.start);
    CHECK(a.end == b.end);
    CHECK(a.window_wait == b.window_wait);
    CHECK(a.bytes == b.bytes);
  }
  REQUIRE(again.edges.size() == trace.edges.size());
  for (std::size_t i = 0; i < trace.edges.size(); ++i) {
    CHECK(again.edges[i].from == trace.edges[i].from);
    CHECK(again.edges[i].kind == trace.edges[i].kind);
  }
  CHECK(again.metadata == trace.metadata);
  CHECK(chrome(again) == chrome(trace));
}

TEST_CASE("the summary's figures are those of the run") {
  const Trace trace = synthetic_trace();
  const Analysis analysis = analyze(trace);
  CHECK(analysis.length == 62'000);
  CHECK(analysis.tasks == 3);
  CHECK(analysis.failed == 1);
  CHECK(analysis.poisoned == 1);
  REQUIRE(analysis.processes.size() == 2);
  CHECK(analysis.processes[0].process == "node0");
  CHECK(analysis.processes[1].lanes == 3);
  CHECK(analysis.processes[1].busy == 60'000);
  CHECK(analysis.processes[1].share == doctest::Approx(60.0 / 62.0 / 3.0));
  CHECK(analysis.callables.front().name == "matmul");
  CHECK(trace.text(trace.spans[analysis.longest.front()].name) == "matmul");
  std::vector<std::string> path;
  for (const auto i : analysis.critical) path.push_back(trace.text(trace.spans[i].name));
  CHECK(path == std::vector<std::string>{"load", "matmul", "add"});
  CHECK(analysis.critical_length == 55'000);
  REQUIRE(analysis.waits.size() == 3);
  CHECK(analysis.waits[0].reason == WaitReason::data);
  CHECK(analysis.waits[0].total == 60'000);  // matmul 10, scale 10, add 40
  CHECK(analysis.waits[0].most == 40'000);
  CHECK(analysis.waits[1].reason == WaitReason::core);
  CHECK(analysis.waits[1].total == 5'000);
  CHECK(analysis.waits[2].reason == WaitReason::window);
  CHECK(analysis.waits[2].total == 4'000);
  REQUIRE(analysis.moves.size() == 2);
  CHECK(analysis.moves[0].chip == "node0/chip2");
  CHECK(analysis.moves[0].way == "to host memory");
  CHECK(analysis.moves[0].bytes == 1024);
  CHECK(analysis.moves[1].bytes == 4096);
  CHECK(analysis.moves[1].total == 2'000);
}

TEST_CASE("a task that was queued behind its producers is ready when the last of them ends") {
  TraceSink sink({});
  TraceSpan span;
  span.lane = sink.lane("node0/chip0", "tasks");
  const TaskId first = sink.reserve_tasks(), second = sink.reserve_tasks();
  span.task = first;
  span.submitted = span.ready = 0;
  span.start = 10;
  span.end = 100;
  sink.record(span);
  span.task = second;
  span.submitted = 5;
  span.ready = unknown_time;
  span.start = 130;
  span.end = 200;
  sink.record(span);
  sink.record(TraceEdge{first, second, EdgeKind::raw});
  const Trace trace = parse(chrome(sink.snapshot())).value();
  CHECK(trace.spans.at(1).ready == 100);
  const Analysis analysis = analyze(trace);
  REQUIRE(analysis.waits.size() == 2);
  CHECK(analysis.waits[0].reason == WaitReason::data);
  CHECK(analysis.waits[0].total == 95);
  CHECK(analysis.waits[1].total == 10 + 30);
}

TEST_CASE("the critical path of a pod goes through its nodes to their chips") {
  // pod: first (node 0) → second (node 1). first runs a → b and c beside them, second runs d.
  TraceSink sink({});
  const auto record = [&](TaskId task, TaskId parent, const char* place, const char* name, SpanKind kind,
                          std::int64_t start, std::int64_t end) {
    TraceSpan span;
    span.task = task;
    span.parent = parent;
    span.lane = sink.lane(place, "tasks");
    span.name = span.callable = sink.text(name);
    span.kind = kind;
    span.start = start;
    span.end = end;
    sink.record(span);
    return task;
  };
  const auto task = [&] { return sink.reserve_tasks(); };
  const auto pod = record(task(), 0, "pod0", "pod", SpanKind::program, 0, 1000);
  const auto first = record(task(), pod, "pod0", "first", SpanKind::program, 0, 500);
  const auto second = record(task(), pod, "pod0", "second", SpanKind::program, 500, 1000);
  const auto run0 = record(task(), first, "pod0/node0", "first", SpanKind::program, 10, 490);
  const auto run1 = record(task(), second, "pod0/node1", "second", SpanKind::program, 510, 990);
  const auto a = record(task(), run0, "pod0/node0/chip0", "a", SpanKind::chip, 20, 120);
  const auto b = record(task(), run0, "pod0/node0/chip1", "b", SpanKind::chip, 130, 230);
  record(task(), run0, "pod0/node0/chip0", "c", SpanKind::chip, 130, 280);
  record(task(), run1, "pod0/node1/chip0", "d", SpanKind::chip, 520, 560);
  sink.record(TraceEdge{first, second, EdgeKind::raw});
  sink.record(TraceEdge{a, b, EdgeKind::raw});
  const Trace trace = parse(chrome(sink.snapshot())).value();
  const Analysis analysis = analyze(trace);
  std::vector<std::string> path;
  for (const auto i : analysis.critical) path.push_back(trace.text(trace.spans[i].name));
  CHECK(path == std::vector<std::string>{"a", "b", "d"});
  CHECK(analysis.critical_length == 100 + 100 + 40);
}

TEST_CASE("a chip is as busy as its cores, and a chip task is no kernel even if it has the same name") {
  TraceSink sink({});
  TraceSpan span;
  span.lane = sink.lane("node0/chip0", "tasks");
  span.name = span.callable = sink.text("add");
  span.task = sink.reserve_tasks();
  span.start = 0;
  span.end = 1000;
  sink.record(span);
  span.lane = sink.lane("node0/chip0", "aiv3");
  span.kind = SpanKind::aiv;
  span.parent = span.task;
  span.task = chip_task(span.parent, 1);
  span.start = 400;
  span.end = 500;
  sink.record(span);
  const Analysis analysis = analyze(sink.snapshot());
  REQUIRE(analysis.processes.size() == 1);
  CHECK(analysis.processes[0].share == doctest::Approx(0.1));
  CHECK(analysis.processes[0].lanes == 1);
  CHECK(analysis.lanes.size() == 2);
  REQUIRE(analysis.callables.size() == 2);
  CHECK(analysis.callables[0].total == 1000);
  CHECK(analysis.callables[1].kind == SpanKind::aiv);
}

TEST_CASE("waiting for a group and for room is told apart from waiting for a core") {
  TraceSink sink({});
  TraceSpan span;
  span.lane = sink.lane("node0/chip0", "tasks");
  for (const auto reason : {WaitReason::gang, WaitReason::room}) {
    span.task = sink.reserve_tasks();
    span.wait = reason;
    span.submitted = span.ready = 0;
    span.start = reason == WaitReason::gang ? 70 : 50;
    span.end = 100;
    sink.record(span);
  }
  const Analysis analysis = analyze(parse(chrome(sink.snapshot())).value());
  REQUIRE(analysis.waits.size() == 2);
  CHECK(analysis.waits[0].reason == WaitReason::gang);
  CHECK(analysis.waits[0].total == 70);
  CHECK(analysis.waits[1].reason == WaitReason::room);
  CHECK(analysis.waits[1].total == 50);
}

TEST_CASE("spans that overlap on a lane count once, and a retried task counts as it ended") {
  TraceSink sink({});
  TraceSpan span;
  span.lane = sink.lane("node0", "tasks");
  span.task = sink.reserve_tasks();
  span.start = 0;
  span.end = 100;
  span.outcome = TaskOutcome::failed;
  sink.record(span);
  span.attempt = 1;
  span.start = 50;
  span.end = 200;
  span.outcome = TaskOutcome::ok;
  sink.record(span);
  const Analysis analysis = analyze(sink.snapshot());
  CHECK(analysis.lanes.at(0).busy == 200);
  CHECK(analysis.lanes.at(0).share == doctest::Approx(1.0));
  CHECK(analysis.failed == 0);
  CHECK(analysis.tasks == 1);
}

TEST_CASE("the summary reads as tables, and an empty trace says so") {
  const Trace trace = synthetic_trace();
  const std::string text = render_summary(trace, analyze(trace));
  CAPTURE(text);
  CHECK(has(text, "3 tasks in 62.0 us, 1 failed, 1 poisoned"));
  CHECK(has(text, "platform: a2a3sim"));
  CHECK(has(text, "critical path: 3 steps, 55.0 us of work, 88.7 % of the run"));
  CHECK(has(text, "data: a producer had not finished"));
  CHECK(has(text, "node0/chip2 aiv1"));
  CHECK(has(text, "bytes moved"));
  CHECK(has(text, "to the chip"));
  CHECK(has(render_summary(Trace{}, analyze(Trace{})), "nothing ran"));
}

TEST_CASE("the summary as JSON has the same figures, and its tables are as long as asked for") {
  const Trace trace = synthetic_trace();
  const auto json = nlohmann::json::parse(summary_json(trace, analyze(trace, 2)));
  CHECK(json["length"] == 62'000);
  CHECK(json["tasks"] == 3);
  CHECK(json["failed"] == 1);
  CHECK(json["metadata"]["platform"] == "a2a3sim");
  CHECK(json["critical_path"]["length"] == 55'000);
  CHECK(json["critical_path"]["steps"][1]["name"] == "matmul");
  REQUIRE(json["longest"].size() == 2);
  CHECK(json["longest"][0]["took"] == 30'000);
  CHECK(json["longest"][0]["where"] == "node0/chip2 aic0");
  CHECK(json["waits"].size() > 1);
  REQUIRE(json["moves"].size() == 2);
  CHECK(json["moves"][1]["way"] == "to the chip");
  CHECK(json["moves"][1]["bytes"] == 4096);
  CHECK(nlohmann::json::parse(summary_json(Trace{}, analyze(Trace{})))["lanes"].empty());
  const std::string text = render_summary(trace, analyze(trace, 1), 1);
  CHECK(has(text, "… and "));
  CHECK_FALSE(has(text, "scale"));
}

TEST_CASE("times have three digits and a unit") {
  CHECK(render_time(0) == "0 ns");
  CHECK(render_time(999) == "999 ns");
  CHECK(render_time(1'000) == "1.00 us");
  CHECK(render_time(12'340) == "12.3 us");
  CHECK(render_time(999'600) == "1.00 ms");
  CHECK(render_time(123'400'000) == "123 ms");
  CHECK(render_time(65'000'000'000) == "65.0 s");
}

TEST_CASE("the graph has names, tags and the way of the poison") {
  std::ostringstream dot, mermaid;
  write_dot(synthetic_trace(), dot);
  write_mermaid(synthetic_trace(), mermaid);
  CAPTURE(dot.str());
  CHECK(has(dot.str(), "t1_2 [label=\"matmul\\n1.2\\nin, out\"]"));
  CHECK(has(dot.str(), "t1_1 -> t1_2 [label=\"raw\"];"));
  CHECK(has(dot.str(), "t2 -> t3 [label=\"after\", color=red, penwidth=2];"));
  CHECK(has(dot.str(), "check \\\"5 < 6\\\""));
  CAPTURE(mermaid.str());
  CHECK(has(mermaid.str(), "t1_2[\"matmul<br>1.2<br>in, out\"]"));
  CHECK(has(mermaid.str(), "t1_1 -- raw --> t1_2"));
  CHECK(has(mermaid.str(), "linkStyle 4 stroke:red"));
  CHECK(has(mermaid.str(), "t3[\"verify2<br>3<br>poisoned\"]:::poisoned"));
  const auto unknown = write_graph_file(synthetic_trace(), "graph.txt");
  REQUIRE_FALSE(unknown);
  CHECK(has(unknown.error().hint(), ".dot"));
}

TEST_CASE("the graph does not say twice what a task is, and who submitted it") {
  actors::TraceSink sink({});
  const auto lane = sink.lane("node0/chip0", "tasks");
  const auto program = sink.reserve_tasks(), bare = sink.reserve_tasks(), graph = sink.reserve_tasks();
  const auto record = [&](TaskId task, TaskId parent, actors::SpanKind kind, const char* name) {
    TraceSpan span;
    span.task = task;
    span.parent = parent;
    span.lane = lane;
    span.kind = kind;
    span.name = span.callable = sink.text(name);
    span.start = 1;
    span.end = 2;
    sink.record(span);
  };
  record(program, 0, actors::SpanKind::program, "main");
  record(bare, program, actors::SpanKind::chip, "scale");
  record(actors::chip_task(bare, 1), bare, actors::SpanKind::aiv, "scale");
  record(graph, program, actors::SpanKind::chip, "two steps");
  record(actors::chip_task(graph, 1), graph, actors::SpanKind::aiv, "scale");
  std::ostringstream dot;
  write_dot(sink.snapshot(), dot);
  CAPTURE(dot.str());
  CHECK(has(dot.str(), "label=\"main (1)\""));  // a box, …
  CHECK_FALSE(has(dot.str(), "t1 [label"));     // … and not a node as well
  CHECK(has(dot.str(), "t2 [label=\"scale"));
  CHECK_FALSE(has(dot.str(), "t2_1"));               // the kernel that the task is
  CHECK(has(dot.str(), "label=\"two steps (3)\""));  // a chip program has something inside
  CHECK(has(dot.str(), "t3_1 [label=\"scale"));
}

/// A pod: two tasks, one after the other, each a program of a node with a task of its own inside.
Trace pod_trace(actors::TaskOutcome second = actors::TaskOutcome::ok) {
  actors::TraceSink sink({});
  const auto lane = sink.lane("pod0/node0", "program");
  std::vector<TaskId> tasks;
  for (int i = 0; i < 2; ++i) {
    const TaskId program = sink.reserve_tasks(), inside = sink.reserve_tasks();
    for (const TaskId task : {program, inside}) {
      TraceSpan span;
      span.task = task;
      span.parent = task == inside ? program : 0;
      span.lane = lane;
      span.kind = task == inside ? actors::SpanKind::sub : actors::SpanKind::program;
      span.name = span.callable = sink.text(task == inside ? "row" : i == 0 ? "first half" : "second half");
      span.start = span.submitted = 1;
      span.end = 2;
      if (i == 1 && task == program) span.outcome = second;
      if (span.outcome != actors::TaskOutcome::ok) span.error = sink.text("out of luck");
      sink.record(span);
    }
    tasks.push_back(program);
  }
  sink.record(actors::TraceEdge{tasks[0], tasks[1], EdgeKind::raw});
  return sink.snapshot();
}

TEST_CASE("the programs of a pod's nodes are boxes, and what one waits for leads from box to box") {
  std::ostringstream dot, mermaid;
  write_dot(pod_trace(), dot);
  write_mermaid(pod_trace(), mermaid);
  CAPTURE(dot.str());
  CHECK(has(dot.str(), "t2 -> t4 [label=\"raw\", ltail=cluster_t1, lhead=cluster_t3];"));
  CHECK_FALSE(has(dot.str(), "t1 [label"));
  CAPTURE(mermaid.str());
  CHECK(has(mermaid.str(), "in_t1 -- raw --> in_t3"));
  std::ostringstream failed;
  write_dot(pod_trace(actors::TaskOutcome::failed), failed);
  CHECK(has(failed.str(), "label=\"second half (3) failed: out of luck\""));
}

TEST_CASE("a graph of some tasks has dotted edges where the others were between") {
  std::ostringstream dot, mermaid;
  write_dot(synthetic_trace(), dot, "[la]*d");  // load and add, with matmul and scale between
  write_mermaid(synthetic_trace(), mermaid, "[la]*d");
  CAPTURE(dot.str());
  CHECK(has(dot.str(), "t1_1 -> t1_4 [style=dotted];"));
  CHECK_FALSE(has(dot.str(), "matmul"));
  CHECK(has(mermaid.str(), "t1_1 -.-> t1_4"));
  std::ostringstream box;
  write_dot(pod_trace(), box, "first*");
  CHECK(has(box.str(), "subgraph cluster_t1"));
  CHECK(has(box.str(), "t2 [label"));  // what is inside comes along
  CHECK_FALSE(has(box.str(), "t4"));
  const auto none = write_graph_file(synthetic_trace(), "none.dot", "matmull");
  REQUIRE_FALSE(none);
  CHECK(has(none.error().hint(), "did you mean matmul?"));
}

TEST_CASE("the swimlane has the fields that existing tools read") {
  std::ostringstream out;
  write_swimlane(synthetic_trace(), out);
  const auto file = nlohmann::json::parse(out.str());
  CHECK(file["version"] == 1);
  REQUIRE(file["tasks"].size() == 4);  // host functions are not core tasks
  const auto& load = file["tasks"][0];
  CHECK(load["core_type"] == "aiv");
  CHECK(load["core_id"] == 0);
  CHECK(load["start_time_us"] == 0.0);
  CHECK(load["duration_us"] == 10.0);
  CHECK(load["fanout_count"] == 2);
  CHECK(load["fanout"].size() == 2);
  const auto& add = file["tasks"][3];
  CHECK(add["dispatch_time_us"] == 40.0);
  CHECK(add["start_time_us"] == 45.0);
  CHECK(add["end_time_us"] == 60.0);
  CHECK(add["finish_time_us"] == 60.0);
  CHECK(add["func_id"] != load["func_id"]);
}

TEST_CASE("the page holds the trace, and no text of it can break out") {
  std::ostringstream out;
  write_html(synthetic_trace(), out);
  const std::string page = out.str();
  CHECK(has(page, "\"matmul\""));
  CHECK(has(page, "\\u003c/script> is not 5"));
  CHECK_FALSE(has(page, "@TRACE@"));
  // Nothing is fetched from anywhere.
  for (const char* fetch : {"http://", "https://", "src=", "@import", "url("}) {
    CAPTURE(fetch);
    CHECK_FALSE(has(page, fetch));
  }
}

}  // namespace

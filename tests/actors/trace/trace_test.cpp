#include <doctest/doctest.h>

#include <atomic>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "support/temporary_folder.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/actors/tensor_dump.hpp"
#include "troupe/actors/trace_device.hpp"
#include "troupe/actors/trace_sink.hpp"

namespace {

using namespace troupe;
using namespace troupe::actors;
using nlohmann::json;

TraceSpan span_of(TraceSink& sink, const char* name, std::int64_t start, std::int64_t end) {
  TraceSpan span;
  span.task = sink.reserve_tasks();
  span.lane = sink.lane("node0/chip0", "aiv0");
  span.name = sink.text(name);
  span.start = start;
  span.end = end;
  return span;
}

TEST_CASE("a trace has what was recorded, sorted, with times relative to the epoch") {
  TraceSink sink({.epoch = 1000});
  sink.record(span_of(sink, "late", 3000, 4000));
  sink.record(span_of(sink, "early", 1500, 2500));
  sink.record(TraceEdge{2 * task_step, task_step, EdgeKind::war});
  sink.record(TraceEdge{2 * task_step, task_step, EdgeKind::raw});
  sink.describe("platform", "x");
  sink.describe("platform", "y");
  const Trace trace = sink.snapshot();
  REQUIRE(trace.spans.size() == 2);
  CHECK(trace.text(trace.spans[0].name) == "early");
  CHECK(trace.spans[0].start == 500);
  CHECK(trace.spans[0].ready == unknown_time);
  CHECK(trace.spans[1].duration() == 1000);
  REQUIRE(trace.edges.size() == 1);  // one edge between two tasks, the strongest kind
  CHECK(trace.edges[0].kind == EdgeKind::raw);
  CHECK(trace.metadata == decltype(trace.metadata){{"platform", "y"}});
  CHECK(trace.dropped == 0);
}

TEST_CASE("the same lane and the same text get the same number") {
  TraceSink sink({});
  CHECK(sink.text("") == 0);
  CHECK(sink.text("a") == sink.text(std::string("a")));
  CHECK(sink.text("a") != sink.text("b"));
  CHECK(sink.lane("n", "t") == sink.lane("n", "t"));
  CHECK(sink.lane("n", "t") != sink.lane("n", "u"));
}

TEST_CASE("task numbers are unique and never 0") {
  TraceSink sink({});
  const TaskId first = sink.reserve_tasks(3), next = sink.reserve_tasks();
  CHECK(first != 0);
  CHECK(next == first + 3 * task_step);
  CHECK(task_label(chip_task(first, 7)) == "1.7");
  CHECK(task_label(first) == "1");
  CHECK(host_task_of(chip_task(next, 7)) == next);
  // Members of a group count for themselves.
  CHECK(task_label(chip_task(member_task(first, 0), 7)) == "1:0.7");
  CHECK(task_label(chip_task(member_task(first, 1023), 7)) == "1:1023.7");
  CHECK(host_task_of(chip_task(member_task(next, 1023), 7)) == next);
}

TEST_CASE("what does not fit the bounds is dropped and counted") {
  TraceSink sink({.max_spans = 1, .max_edges = 1, .max_text_bytes = 8});
  for (int i = 0; i < 5000; ++i) {
    sink.record(span_of(sink, "n", i, i + 1));
    sink.record(TraceEdge{task_step, static_cast<TaskId>(i + 2) * task_step, EdgeKind::raw});
  }
  const TextId dropped = sink.text("longer than eight");
  CHECK(dropped == sink.text("also longer than eight"));
  const Trace trace = sink.snapshot();
  // Bounds are rounded up to whole chunks.
  CHECK(trace.spans.size() == 4096);
  CHECK(trace.edges.size() == 4096);
  CHECK(trace.dropped == 2 * (5000 - 4096) + 2);
  CHECK(trace.text(dropped) == "(dropped)");
}

TEST_CASE("threads record at the same time and nothing is lost") {
  TraceSink sink({});
  constexpr int threads = 4, each = 5000;
  std::atomic<int> waiting{threads};
  std::vector<std::thread> pool;
  for (int t = 0; t < threads; ++t) {
    pool.emplace_back([&sink, &waiting, t] {
      waiting.fetch_sub(1);
      waiting.notify_all();
      for (int left = waiting.load(); left > 0; left = waiting.load()) waiting.wait(left);
      for (int i = 0; i < each; ++i) {
        TraceSpan span = span_of(sink, "n", i, i + t);
        span.lane = sink.lane("node0", "core" + std::to_string(t));
        sink.record(span);
      }
    });
  }
  const Trace meanwhile = sink.snapshot();  // allowed at any time
  CHECK(meanwhile.spans.size() <= threads * each);
  for (auto& thread : pool) thread.join();
  const Trace trace = sink.snapshot();
  CHECK(trace.spans.size() == threads * each);
  CHECK(trace.lanes.size() == threads + 1);
  std::vector<TaskId> tasks;
  for (const auto& span : trace.spans) tasks.push_back(span.task);
  std::sort(tasks.begin(), tasks.end());
  CHECK(std::adjacent_find(tasks.begin(), tasks.end()) == tasks.end());
}

TEST_CASE("the Chrome file names lanes in natural order and keeps exact times") {
  TraceSink sink({});
  sink.lane("node0/chip10", "aiv1");
  sink.lane("node0/chip9", "aiv1");
  TraceSpan span = span_of(sink, "a \"quoted\" name\n", 1'234'567, 1'234'568);
  span.outcome = TaskOutcome::failed;
  span.error = sink.text("bad \xff byte");
  sink.record(span);
  sink.mark(span.lane, sink.text("restart"), 42);
  std::ostringstream out;
  write_chrome_trace(sink.snapshot(), out);
  const json file = json::parse(out.str());
  CHECK(file["troupe"]["version"] == trace_version);
  std::vector<std::string> processes;
  for (const auto& event : file["traceEvents"]) {
    if (event["name"] == "process_name") processes.push_back(event["args"]["name"]);
  }
  CHECK(processes == std::vector<std::string>{"node0/chip0", "node0/chip9", "node0/chip10"});
  CHECK(out.str().find("\"ts\":1234.567,\"dur\":0.001") != std::string::npos);
  CHECK(out.str().find("\"ts\":0.042") != std::string::npos);
  const json& event = file["traceEvents"].back();
  CHECK(event["name"] == "a \"quoted\" name\n");
  CHECK(event["args"]["outcome"] == "failed");
}

TEST_CASE("flow arrows go from the end of the last part to the start of the first") {
  TraceSink sink({});
  TraceSpan producer = span_of(sink, "p", 0, 10'000), consumer = span_of(sink, "c", 20'000, 30'000);
  sink.record(producer);
  producer.part = 1;
  producer.start = 2'000;
  producer.end = 12'000;
  producer.lane = sink.lane("node0/chip1", "aiv0");
  sink.record(producer);
  sink.record(consumer);
  sink.record(TraceEdge{producer.task, consumer.task, EdgeKind::waw});
  std::ostringstream out;
  write_chrome_trace(sink.snapshot(), out);
  const json file = json::parse(out.str());
  json begin, end;
  for (const auto& event : file["traceEvents"]) {
    if (event["ph"] == "s") begin = event;
    if (event["ph"] == "f") end = event;
  }
  REQUIRE(begin.is_object());
  REQUIRE(end.is_object());
  CHECK(begin["id"] == end["id"]);
  CHECK(begin["ts"] == 11.999);
  CHECK(begin["pid"] != end["pid"]);
  CHECK(end["ts"] == 20);
  CHECK(end["name"] == "waw");
}

TEST_CASE("a trace that cannot be written is an error that names the file") {
  const Trace trace;
  const Result<void> result = write_chrome_trace(trace, "/no/such/folder/out.json");
  REQUIRE_FALSE(result);
  CHECK(result.error() == Errc::cannot_write);
  CHECK(result.error().message().find("/no/such/folder/out.json") != std::string::npos);
  const Result<void> full = write_chrome_trace(trace, "/dev/full");
  REQUIRE_FALSE(full);
  CHECK(full.error() == Errc::cannot_write);
  CHECK(full.error().hint() == "the disk is full");
}

TEST_CASE("a tensor dump on a disk that is full says so at the end") {
  const test::TemporaryFolder folder;
  std::filesystem::create_symlink("/dev/full", folder / "tensors.bin");
  auto dump = TensorDump::create(folder.path()).value();
  const float element = 1;
  troupe_dump_record record{};
  record.name = "step";
  record.ndims = 1;
  record.shape[0] = 1;
  record.data = &element;
  record.bytes = sizeof element;
  dump->record("node0/chip0", 1, record);
  dump->record("node0/chip0", 2, record);
  const auto closed = dump->close();
  REQUIRE_FALSE(closed);
  CHECK(closed.error() == Errc::cannot_write);
  CHECK(closed.error().hint() == "the disk is full");
}

TEST_CASE("kernels of a group have numbers of their own on each chip and the group as their parent") {
  TraceSink sink({});
  const TaskId group = sink.reserve_tasks();
  troupe_trace_event event = {};
  event.correlation = 9;
  event.task = 1;
  event.begin_ns = 100;
  event.end_ns = 200;
  for (const std::uint32_t member : {0u, 1u}) {
    DeviceTrace device(sink, "node0/chip" + std::to_string(member));
    device.launched(9, member_task(group, member));
    device.events(&event, 1);
  }
  const Trace trace = sink.snapshot();
  REQUIRE(trace.spans.size() == 2);
  CHECK(task_label(trace.spans[0].task) == "1:0.1");
  CHECK(task_label(trace.spans[1].task) == "1:1.1");
  CHECK(trace.spans[0].parent == group);
  CHECK(trace.spans[1].parent == group);
}

TEST_CASE("device events become spans of their cores and children of the launched task") {
  TraceSink sink({});
  DeviceTrace device(sink, "node0/chip3");
  const TaskId task = sink.reserve_tasks();
  device.launched(9, task);
  const std::uint64_t producers[] = {1};
  troupe_trace_event events[2] = {};
  events[0].correlation = events[1].correlation = 9;
  events[0].name = "load";
  events[0].task = 1;
  events[0].begin_ns = 100;
  events[0].end_ns = 200;
  events[0].core = 4;
  events[0].core_kind = TROUPE_CORE_AIV;
  events[1].name = "mul";
  events[1].task = 2;
  events[1].submitted_ns = 50;
  events[1].ready_ns = 200;
  events[1].begin_ns = 240;
  events[1].end_ns = 300;
  events[1].waited_ns = 10;
  events[1].producers = producers;
  events[1].producer_count = 1;
  events[1].core_kind = TROUPE_CORE_AIC;
  events[1].code = 5;
  device.events(events, 2);
  device.completed(9);
  device.events(events, 1);  // late: shown, but a child of nothing
  const Trace trace = sink.snapshot();
  REQUIRE(trace.spans.size() == 3);
  const TraceSpan& mul = trace.spans[2];
  CHECK(trace.lanes[mul.lane] == TraceLane{"node0/chip3", "aic0"});
  CHECK(mul.parent == task);
  CHECK(mul.task == chip_task(task, 2));
  CHECK(mul.kind == SpanKind::aic);
  CHECK(mul.outcome == TaskOutcome::failed);
  CHECK(mul.wait == WaitReason::data);  // 150 of 200
  CHECK(mul.window_wait == 10);
  const auto orphan = std::count_if(trace.spans.begin(), trace.spans.end(),
                                    [](const TraceSpan& span) { return span.task == 0; });
  CHECK(orphan == 1);
  REQUIRE(trace.edges.size() == 1);
  CHECK(trace.edges[0].from == chip_task(task, 1));
  CHECK(trace.edges[0].to == mul.task);
}

}  // namespace

// Traces that a reader does not believe: damaged files, and what no run could have written.
#include <doctest/doctest.h>

#include <sstream>
#include <string>

#include "apps/synthetic_trace.hpp"
#include "errc.hpp"
#include "trace/analysis.hpp"
#include "trace/files.hpp"
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

std::string with(const std::string& events) {
  return R"({"troupe":{"version":1},"traceEvents":[)" + events + "]}";
}

/// An event of a task with a parent; `more`: further args.
std::string event(int task, int parent, const std::string& more = "") {
  return R"({"ph":"X","pid":1,"tid":1,"ts":1,"dur":1,"cat":"program","name":"p","args":{"task":")" +
         std::to_string(task) + R"(","parent":")" + std::to_string(parent) + "\"" + more + "}}";
}

/// A value with so many lists in one another that nothing may call itself for each.
std::string deep_list() { return std::string(200'000, '[') + std::string(200'000, ']'); }

TEST_CASE("dependencies in a circle are told, not followed for ever") {
  Trace trace = synthetic_trace();
  const TaskId task = trace.edges.front().to;
  trace.edges.push_back({task, trace.edges.front().from, EdgeKind::raw});
  normalize(trace);
  const Analysis analysis = analyze(trace);
  CHECK(analysis.cyclic);
  CHECK(analysis.critical.empty());
  CHECK(has(render_summary(trace, analysis), "form a cycle"));
}

TEST_CASE("whatever is no trace is refused with a sentence that says where") {
  const auto refused = [](const std::string& text, const std::string& why) {
    CAPTURE(text);
    const auto result = parse(text);
    REQUIRE_FALSE(result);
    CHECK(result.error() == apps::Errc::bad_file);
    CAPTURE(result.error().message());
    CHECK(has(result.error().message(), why));
    CHECK(has(result.error().message(), "t.json"));
  };
  refused("", "parse error");
  refused("hello", "parse error");
  refused("[]", "no \"troupe\" section");
  refused("{\"traceEvents\":[]}", "no \"troupe\" section");
  refused(R"({"troupe":{},"traceEvents":[]})", "no version");
  refused(R"({"troupe":1,"traceEvents":[]})", "no version");
  refused(R"({"troupe":{"version":99},"traceEvents":[]})", "version 99");
  refused(with("3"), "not an object");
  refused(with("[]"), "not an object");
  refused(with("{}"), "phase is missing");
  refused(with(R"({"ph":"X","pid":1,"tid":1,"ts":0,"dur":1,"cat":"nonsense"})"), "unknown value");
  refused(with(R"({"ph":"X","pid":1,"tid":1,"ts":0,"dur":-1,"cat":"aiv"})"), "duration is negative");
  refused(with(R"({"ph":"X","pid":1,"tid":1,"ts":1e300,"dur":1,"cat":"aiv"})"), "out of range");
  refused(with(R"({"ph":"X","tid":1,"ts":0,"dur":1,"cat":"aiv"})"), "pid");
  refused(with(R"({"ph":"X","pid":1,"tid":1,"ts":0,"dur":1,"cat":"aiv","args":{"task":"1.x"}})"),
          "no task number");
  for (const char* number :
       {"", ".", "1.", "1:", "1:0.", ":1", "1.2097152", "1:2047.1", "4294967296", "1.1:0"}) {
    refused(with(R"({"ph":"X","pid":1,"tid":1,"ts":0,"dur":1,"cat":"aiv","args":{"task":")" +
                 std::string(number) + "\"}}"),
            "no task number");
  }
  refused(with(R"({"ph":"X","pid":1,"tid":1,"ts":0,"dur":1,"cat":"aiv","args":{"after":[["1"]]}})"), "edge");
  const std::string good = chrome(synthetic_trace());
  for (std::size_t cut = 1; cut < good.size(); cut += 97) CHECK_FALSE(parse(good.substr(0, cut)));
  CHECK(read_trace_file("/no/such/file").error() == apps::Errc::cannot_read);
  CHECK(read_trace_file("/").error() == apps::Errc::cannot_read);
}

TEST_CASE("a value of a trace may be of any depth, wherever it stands") {
  const auto refused = [](const std::string& text, const std::string& why) {
    const auto result = parse(text);
    REQUIRE_FALSE(result);
    CHECK(result.error().message().size() < 200);
    CHECK(has(result.error().message(), why));
  };
  const auto span = [](const std::string& category, const std::string& time, const std::string& duration,
                       const std::string& args) {
    return with(R"({"ph":"X","pid":1,"tid":1,"ts":)" + time + R"(,"dur":)" + duration + R"(,"cat":)" +
                category + R"(,"args":)" + args + "}");
  };
  const std::string aiv = "\"aiv\"";
  REQUIRE(parse(span(aiv, "0", "1", "{}")));
  refused(span(deep_list(), "0", "1", "{}"), "unknown value (array)");
  refused(span(aiv, deep_list(), "1", "{}"), "a time is not a number");
  refused(span(aiv, "0", deep_list(), "{}"), "a time is not a number");
  refused(span(aiv, "0", "1", deep_list()), "args are not an object");
  for (const std::string key : {"task", "parent", "callable", "tags", "error", "wait", "outcome", "attempt",
                                "ready", "window_wait", "after"}) {
    CAPTURE(key);
    const auto result = parse(span(aiv, "0", "1", "{\"" + key + "\":" + deep_list() + "}"));
    REQUIRE_FALSE(result);
    CHECK(result.error().message().size() < 200);
  }
  for (const std::string key : {"ph", "pid", "tid", "name"}) {
    CAPTURE(key);
    CHECK_FALSE(parse(with(R"({"ph":"M","pid":1,"tid":1,")" + key + "\":" + deep_list() + "}")));
  }
  refused(R"({"troupe":{"version":)" + deep_list() + "}}", "no version");
  refused(R"({"troupe":)" + deep_list() + "}", "no version");
  // What is known of a run is texts; what is none is only named.
  const auto trace =
      parse(R"({"troupe":{"version":1,"dropped":)" + deep_list() + R"(,"metadata":{"a":)" + deep_list() +
            R"(,"b":"x","c":2,"d":{"e":1}},"more":)" + deep_list() + "},\"traceEvents\":[]}");
  REQUIRE(trace);
  CHECK(trace->metadata ==
        decltype(trace->metadata){{"a", "(array)"}, {"b", "x"}, {"c", "2"}, {"d", "(object)"}});
}

/// All that is made of a trace, each once.
std::string drawn(const Trace& trace) {
  std::ostringstream dot, other;
  write_dot(trace, dot, "");
  write_mermaid(trace, other, "");
  write_mermaid(trace, other, "p*");
  write_html(trace, other);
  write_swimlane(trace, other);
  other << render_summary(trace, analyze(trace));
  CHECK(has(other.str(), "flowchart"));
  return dot.str();
}

TEST_CASE("tasks that are part of one another are drawn beside each other") {
  const auto trace = parse(with(event(1, 2) + "," + event(2, 1) + "," + event(4, 2) + "," + event(5, 5) +
                                "," + event(3, 0, R"(,"after":[["1","raw"],["2","raw"],["5","raw"]])")));
  REQUIRE(trace);
  const std::string dot = drawn(*trace);
  CHECK(has(dot, "  t1 [label="));
  CHECK(has(dot, "  subgraph cluster_t2 {"));
  CHECK(has(dot, "    t4 [label="));  // what hangs on a circle stays where it is
  CHECK(has(dot, "  t1 -> t3 [label=\"raw\"]"));
  CHECK(has(dot, "  t4 -> t3 [label=\"raw\", ltail=cluster_t2]"));
  CHECK(has(dot, "  t5 -> t3 [label=\"raw\"]"));
}

TEST_CASE("of tasks in one another without end the first hundred are boxes, then it begins anew") {
  constexpr int deep = 60'000;
  std::string events = event(1, 0);
  for (int task = 2; task <= deep; ++task) {
    const bool last = task == deep;
    events += "," + event(task, task - 1, last ? R"(,"after":[["1","raw"]])" : "");
  }
  const auto trace = parse(with(events));
  REQUIRE(trace);
  const std::string dot = drawn(*trace);
  std::size_t open = 0, most = 0;
  for (const char c : dot) {
    open += c == '{' ? 1 : 0;
    most = std::max(most, open);
    open -= c == '}' ? 1 : 0;
  }
  CHECK(open == 0);
  CHECK(most > 50);
  CHECK(most < 200);
  CHECK(has(dot, "t60000 [label="));
  CHECK(dot.size() < 50'000'000);
}

}  // namespace

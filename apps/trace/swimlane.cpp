#include <cmath>
#include <nlohmann/json.hpp>
#include <ostream>
#include <unordered_map>

#include "trace/files.hpp"
#include "trace/graph.hpp"

namespace troupe::apps {
namespace {

using actors::SpanKind;
using actors::Trace;

/// The number at the end of a lane's name: "aiv12" → 12.
std::int64_t core_number(const std::string& lane) {
  const auto digits = lane.find_last_not_of("0123456789") + 1;
  if (digits >= lane.size() || lane.size() - digits > 9) return -1;
  return std::stol(lane.substr(digits));
}

}  // namespace

void write_swimlane(const Trace& trace, std::ostream& out) {
  const auto on_core = [](const actors::TraceSpan& span) {
    return span.ran() && (span.kind == SpanKind::aic || span.kind == SpanKind::aiv);
  };
  std::int64_t origin = INT64_MAX;
  std::unordered_map<actors::TaskId, std::vector<actors::TaskId>> fanout;
  for (const auto& span : trace.spans) {
    if (!on_core(span)) continue;
    fanout[span.task];
    for (const auto time : {span.dispatched, span.start}) {
      if (time != actors::unknown_time) origin = std::min(origin, time);
    }
  }
  for (const auto& edge : trace.edges) {
    if (fanout.contains(edge.to) && fanout.contains(edge.from)) fanout[edge.from].push_back(edge.to);
  }
  // Unknown times take the nearest known one: the format has no word for "unknown".
  const auto micros = [&](std::int64_t time) {
    return std::round(static_cast<double>(time - origin)) / 1000.0;
  };
  out << "{\"version\":1,\"tasks\":[";
  bool first = true;
  for (const auto& span : trace.spans) {
    if (!on_core(span)) continue;
    const auto& lane = trace.lanes[span.lane];
    const auto dispatched = span.dispatched != actors::unknown_time ? span.dispatched : span.start;
    const auto finished = span.finished != actors::unknown_time ? span.finished : span.end;
    const auto& successors = fanout[span.task];
    const nlohmann::ordered_json task = {
        {"task_id", span.task},
        {"func_id", span.function >= 0 ? span.function : static_cast<std::int32_t>(span.callable)},
        {"core_id", core_number(lane.thread)},
        {"core_type", name_of(span.kind)},
        {"ring_id", span.ring},
        {"start_time_us", micros(span.start)},
        {"end_time_us", micros(span.end)},
        {"duration_us", static_cast<double>(span.duration()) / 1000.0},
        {"dispatch_time_us", micros(dispatched)},
        {"finish_time_us", micros(finished)},
        {"fanout", successors},
        {"fanout_count", successors.size()},
        {"name", trace.text(span.name)},
        {"chip", lane.process}};
    out << (first ? "\n" : ",\n") << task.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    first = false;
  }
  out << "\n]}\n";
}

Result<void> write_swimlane_file(const Trace& trace, const std::string& path) {
  return write_file(path, [&](std::ostream& out) { write_swimlane(trace, out); });
}

}  // namespace troupe::apps

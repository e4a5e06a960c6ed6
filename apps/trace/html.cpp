#include "trace/html.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>
#include <ostream>
#include <string_view>
#include <vector>

#include "trace/analysis.hpp"

namespace troupe::apps {

extern const std::string_view timeline_page;  // timeline.html, put in by the build

namespace {

using actors::Trace;
using actors::unknown_time;

/// Inside a script element only "<" could end the data early.
std::string embedded(const nlohmann::json& value) {
  std::string text = value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  for (std::size_t at = 0; (at = text.find('<', at)) != std::string::npos; at += 6) {
    text.replace(at, 1, "\\u003c");
  }
  return text;
}

/// Writes "[a,b,…]", one element per line, without holding them all.
template <class Range, class Make>
void list(std::ostream& out, const Range& range, Make&& make) {
  out << "[";
  const char* separator = "\n";
  for (const auto& element : range) {
    out << separator << embedded(make(element));
    separator = ",\n";
  }
  out << "]";
}

void write_data(const Trace& trace, std::ostream& out) {
  std::vector<std::uint32_t> order(trace.lanes.size()), place(trace.lanes.size());
  std::iota(order.begin(), order.end(), 0u);
  std::ranges::sort(order, [&](std::uint32_t a, std::uint32_t b) {
    const auto &x = trace.lanes[a], &y = trace.lanes[b];
    return x.process != y.process ? actors::natural_less(x.process, y.process)
                                  : actors::natural_less(x.thread, y.thread);
  });
  for (std::uint32_t i = 0; i < order.size(); ++i) place[order[i]] = i;

  const auto time = [](std::int64_t value) {
    return value == unknown_time ? nlohmann::json() : nlohmann::json(value);
  };
  const auto task = [](actors::TaskId id) { return id == 0 ? std::string() : actors::task_label(id); };
  out << "{\"lanes\":";
  list(out, order, [&](std::uint32_t lane) {
    return nlohmann::json::array({trace.lanes[lane].process, trace.lanes[lane].thread});
  });
  out << ",\"texts\":" << embedded(trace.texts) << ",\"metadata\":";
  list(out, trace.metadata, [](const auto& pair) {
    return nlohmann::json::array({pair.first, pair.second});
  });
  const Analysis analysis = analyze(trace);
  out << ",\"dropped\":" << trace.dropped << ",\"tasks\":" << analysis.tasks << ",\"spans\":";
  list(out, trace.spans, [&](const actors::TraceSpan& span) {
    return nlohmann::json::array(
        {place[span.lane], time(span.start), time(span.end), span.name, name_of(span.kind),
         name_of(span.outcome), task(span.task), task(span.parent), name_of(span.wait), time(span.submitted),
         time(span.ready), time(span.dispatched), time(span.finished), span.window_wait, span.callable,
         span.tags, span.error, span.part, span.bytes});
  });
  out << ",\"critical\":" << embedded(analysis.cyclic ? std::vector<std::size_t>() : analysis.critical)
      << ",\"edges\":";
  list(out, trace.edges, [&](const actors::TraceEdge& edge) {
    return nlohmann::json::array({task(edge.from), task(edge.to), name_of(edge.kind)});
  });
  out << "}";
}

}  // namespace

void write_html(const Trace& trace, std::ostream& out) {
  constexpr std::string_view mark = "@TRACE@";
  const auto at = timeline_page.find(mark);
  out << timeline_page.substr(0, at);
  write_data(trace, out);
  out << timeline_page.substr(at + mark.size());
}

}  // namespace troupe::apps

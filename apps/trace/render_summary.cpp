#include <algorithm>
#include <array>
#include <cstdio>

#include "trace/analysis.hpp"

namespace troupe::apps {
namespace {

using actors::Trace;
using actors::TraceSpan;
using actors::WaitReason;

/// Columns as wide as their widest cell: the first flush left, the rest flush right.
class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}

  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  /// After `most` rows only the number of the others is told.
  void render(std::string& out, std::size_t most) const {
    std::vector<std::size_t> widths(rows_.front().size());
    for (const auto& row : rows_) {
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    const std::size_t shown = std::min(rows_.size(), most + 1);
    for (std::size_t r = 0; r < shown; ++r) {
      out += " ";
      for (std::size_t i = 0; i < rows_[r].size(); ++i) {
        const std::string padding(widths[i] - rows_[r][i].size(), ' ');
        out += " ";
        out += i == 0 ? rows_[r][i] + padding : padding + rows_[r][i];
        out += " ";
      }
      while (!out.empty() && out.back() == ' ') out.pop_back();
      out += "\n";
    }
    if (shown < rows_.size()) out += "  … and " + std::to_string(rows_.size() - shown) + " more\n";
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

std::string percent(double share) {
  std::array<char, 16> text{};
  (void)std::snprintf(text.data(), text.size(), "%.1f %%", share * 100.0);
  return text.data();
}

std::string title(const Trace& trace, const TraceSpan& span) {
  std::string title = trace.text(span.name);
  if (span.task != 0) title += " (" + actors::task_label(span.task) + ")";
  return title;
}

const char* explain(WaitReason reason) {
  switch (reason) {
    case WaitReason::none:
      return "nothing";
    case WaitReason::data:
      return "data: a producer had not finished";
    case WaitReason::core:
      return "a core: ready, but not started yet";
    case WaitReason::gang:
      return "its group: ready, but not all members could start";
    case WaitReason::window:
      return "a window: a peer's flag was not set";
    case WaitReason::room:
      return "room: back-pressure held the submitter";
  }
  return "unknown";
}

std::string plural(std::size_t count, const std::string& one) {
  return std::to_string(count) + " " + one + (count == 1 ? "" : "s");
}

void headline(const Trace& trace, const Analysis& analysis, std::string& out) {
  out += plural(analysis.tasks, "task") + " in " + render_time(analysis.length);
  for (const auto& [count, what] : {std::pair{analysis.failed, " failed"},
                                    {analysis.poisoned, " poisoned"},
                                    {analysis.cancelled, " cancelled"}}) {
    if (count != 0) out += ", " + std::to_string(count) + what;
  }
  out += "\n";
  for (const auto& [key, value] : trace.metadata) out += "  " + key + ": " + value + "\n";
  if (trace.dropped != 0) {
    out += "  " + plural(trace.dropped, "event") + " did not fit the trace and are missing below\n";
  }
}

void critical_path(const Trace& trace, const Analysis& analysis, std::size_t most_rows, std::string& out) {
  if (analysis.cyclic) {
    out += "\nno critical path: the dependencies in this file form a cycle\n";
    return;
  }
  if (analysis.critical.empty()) return;
  const double share = static_cast<double>(analysis.critical_length) /
                       static_cast<double>(std::max<std::int64_t>(1, analysis.length));
  out += "\ncritical path: " + plural(analysis.critical.size(), "step") + ", " +
         render_time(analysis.critical_length) + " of work, " + percent(share) + " of the run\n";
  Table table({"task", "where", "took", "waited before"});
  for (const std::size_t i : analysis.critical) {
    const TraceSpan& span = trace.spans[i];
    const bool known = span.ready != actors::unknown_time;
    table.row({title(trace, span), place_of(trace, span), render_time(span.duration()),
               known ? render_time(std::max<std::int64_t>(0, span.start - span.ready)) : "-"});
  }
  table.render(out, most_rows);
}

}  // namespace

std::string render_time(std::int64_t nanos) {
  struct Unit {
    double size;
    const char* name;
  };
  constexpr std::array units{Unit{1e9, "s"}, Unit{1e6, "ms"}, Unit{1e3, "us"}};
  for (const auto& unit : units) {
    // Half a last digit below the unit would print as "1000": take the next unit then.
    if (static_cast<double>(nanos) < unit.size * 0.9995) continue;
    const double value = static_cast<double>(nanos) / unit.size;
    std::array<char, 32> text{};
    (void)std::snprintf(text.data(), text.size(), "%.*f %s",
                        value < 9.995   ? 2
                        : value < 99.95 ? 1
                                        : 0,
                        value, unit.name);
    return text.data();
  }
  return std::to_string(nanos) + " ns";
}

std::string place_of(const Trace& trace, const TraceSpan& span) {
  const auto& lane = trace.lanes[span.lane];
  return lane.process.empty() ? lane.thread : lane.process + " " + lane.thread;
}

std::string render_summary(const Trace& trace, const Analysis& analysis, std::size_t most_rows) {
  std::string out;
  headline(trace, analysis, out);
  if (analysis.lanes.empty()) return out + "\nnothing ran\n";

  out += "\nutilisation\n";
  Table chips({"where", "cores used", "spans", "busy", "utilisation"});
  for (const auto& row : analysis.processes) {
    chips.row({row.process, std::to_string(row.lanes), std::to_string(row.spans), render_time(row.busy),
               percent(row.share)});
  }
  chips.render(out, most_rows);
  out += "\nutilisation of each lane\n";
  Table lanes({"lane", "spans", "busy", "utilisation"});
  for (const auto& row : analysis.lanes) {
    lanes.row({row.process + " " + row.thread, std::to_string(row.spans), render_time(row.busy),
               percent(row.share)});
  }
  lanes.render(out, most_rows);

  out += "\ntime by callable\n";
  Table callables({"callable", "on", "spans", "total", "mean", "least", "most"});
  for (const auto& row : analysis.callables) {
    callables.row({row.name, name_of(row.kind), std::to_string(row.count), render_time(row.total),
                   render_time(row.total / static_cast<std::int64_t>(row.count)), render_time(row.least),
                   render_time(row.most)});
  }
  callables.render(out, most_rows);

  if (!analysis.moves.empty()) {
    out += "\nbytes moved\n";
    Table moves({"chip", "way", "moves", "bytes", "took"});
    for (const auto& row : analysis.moves) {
      moves.row(
          {row.chip, row.way, std::to_string(row.count), std::to_string(row.bytes), render_time(row.total)});
    }
    moves.render(out, most_rows);
  }

  out += "\nlongest tasks\n";
  Table longest({"task", "where", "took"});
  for (const std::size_t i : analysis.longest) {
    const TraceSpan& span = trace.spans[i];
    longest.row({title(trace, span), place_of(trace, span), render_time(span.duration())});
  }
  longest.render(out, most_rows);

  critical_path(trace, analysis, most_rows, out);

  out += "\ntime lost waiting for\n";
  Table waits({"reason", "spans", "total", "most", "worst task"});
  for (const auto& row : analysis.waits) {
    waits.row({explain(row.reason), std::to_string(row.spans), render_time(row.total), render_time(row.most),
               actors::task_label(row.worst)});
  }
  if (analysis.waits.empty()) {
    out += "  nothing (or the trace has no waiting times)\n";
  } else {
    waits.render(out, most_rows);
  }
  return out;
}

}  // namespace troupe::apps

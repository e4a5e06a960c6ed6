#include <ostream>

#include "command/commands.hpp"
#include "trace/analysis.hpp"
#include "trace/graph.hpp"
#include "trace/html.hpp"
#include "trace/read.hpp"

namespace troupe::apps {
namespace {

int refuse(const Error& error, Console& console) {
  console.err << "troupe: " << render(error) << "\n";
  return exit_cannot_start;
}

/// Reads the trace, hands it over, and tells when what came out could not be written.
template <class Use>
int with_trace(const std::string& file, Console& console, Use&& use) {
  const auto trace = read_trace_file(file);
  if (!trace) return refuse(trace.error(), console);
  const Result<void> used = use(*trace);
  return used ? exit_ok : refuse(used.error(), console);
}

}  // namespace

int execute(const TraceSummaryCommand& command, Console& console) {
  return with_trace(command.file, console, [&](const actors::Trace& trace) -> Result<void> {
    const auto top = static_cast<std::size_t>(command.top);
    const Analysis analysis = top == 0 ? analyze(trace) : analyze(trace, top);
    console.out << (command.json ? summary_json(trace, analysis)
                    : top == 0   ? render_summary(trace, analysis)
                                 : render_summary(trace, analysis, top));
    return {};
  });
}

int execute(const TraceHtmlCommand& command, Console& console) {
  return with_trace(command.file, console, [&](const actors::Trace& trace) -> Result<void> {
    write_html(trace, console.out);
    return {};
  });
}

int execute(const TraceGraphCommand& command, Console& console) {
  return with_trace(command.file, console, [&](const actors::Trace& trace) {
    return write_graph_file(trace, command.output, command.name);
  });
}

int execute(const TraceSwimlaneCommand& command, Console& console) {
  return with_trace(command.file, console,
                    [&](const actors::Trace& trace) { return write_swimlane_file(trace, command.output); });
}

}  // namespace troupe::apps

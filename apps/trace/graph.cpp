#include "trace/graph.hpp"

#include <algorithm>
#include <fstream>
#include <map>
#include <ostream>
#include <set>
#include <vector>

#include "errc.hpp"
#include "trace/analysis.hpp"
#include "trace/files.hpp"

namespace troupe::apps {
namespace {

using actors::TaskId;
using actors::TaskOutcome;
using actors::Trace;
using actors::TraceSpan;

/// One node per task: of several parts or attempts the one that says most about how it ended. What would only
/// say the same again is left out: the kernel of a task that is that kernel, and beside a box with a
/// program's tasks the program (unless it failed, or is a task of a level above).
struct Graph {
  std::map<TaskId, const TraceSpan*> tasks;
  std::map<TaskId, std::vector<TaskId>> children;  // by parent, in order; parent 0: top level

  explicit Graph(const Trace& trace) {
    for (const auto& span : trace.spans) {
      if (span.task == 0) continue;
      const auto [it, fresh] = tasks.try_emplace(span.task, &span);
      const TraceSpan& known = *it->second;
      if (!fresh &&
          (span.attempt > known.attempt || (span.attempt == known.attempt && span.outcome > known.outcome))) {
        it->second = &span;
      }
    }
    for (const auto& [task, span] : tasks) {
      const bool inside = span->parent != 0 && tasks.contains(span->parent);
      children[inside ? span->parent : 0].push_back(task);
    }
    std::set<TaskId> linked;
    for (const auto& edge : trace.edges) linked.insert({edge.from, edge.to});
    std::erase_if(children, [&](const auto& family) {
      const auto& [parent, inside] = family;
      return parent != 0 && std::ranges::all_of(inside, [&, of = tasks.at(parent)](TaskId task) {
               const TraceSpan& span = *tasks.at(task);
               return span.kind != of->kind && span.callable == of->callable && span.outcome == of->outcome &&
                      !linked.contains(task) && !children.contains(task);
             });
    });
    if (const auto top = children.find(0); top != children.end()) {
      std::erase_if(top->second, [&](TaskId task) {
        return children.contains(task) && !linked.contains(task) && outcome(task) == TaskOutcome::ok;
      });
    }
  }

  TaskOutcome outcome(TaskId task) const {
    const auto it = tasks.find(task);
    return it == tasks.end() ? TaskOutcome::ok : it->second->outcome;
  }
  bool poison(const actors::TraceEdge& edge) const {
    const TaskOutcome from = outcome(edge.from);
    return outcome(edge.to) == TaskOutcome::poisoned &&
           (from == TaskOutcome::failed || from == TaskOutcome::poisoned);
  }
};

std::string identifier(TaskId task) {
  std::string name = "t" + actors::task_label(task);
  for (char& c : name) c = c == '.' || c == ':' ? '_' : c;
  return name;
}

/// Label lines: what it is called, its number and callable, its arguments, why it failed.
std::vector<std::string> label(const Trace& trace, const TraceSpan& span) {
  std::vector<std::string> lines = {trace.text(span.name)};
  std::string second = actors::task_label(span.task);
  if (span.callable != span.name && span.callable != 0) second += " · " + trace.text(span.callable);
  lines.push_back(second);
  if (span.tags != 0) lines.push_back(trace.text(span.tags));
  if (span.outcome != TaskOutcome::ok) lines.push_back(name_of(span.outcome));
  if (span.error != 0) lines.push_back(trace.text(span.error));
  return lines;
}

std::string escaped(const std::string& text, const std::map<char, std::string>& escapes) {
  std::string out;
  for (const char c : text) {
    const auto it = escapes.find(c);
    if (it != escapes.end()) {
      out += it->second;
    } else if (static_cast<unsigned char>(c) >= 0x20) {
      out += c;
    } else {
      out += ' ';
    }
  }
  return out;
}

std::string joined(const Trace& trace, const TraceSpan& span, const std::string& separator,
                   const std::map<char, std::string>& escapes) {
  std::string out;
  for (const auto& line : label(trace, span)) {
    out += (out.empty() ? "" : separator) + escaped(line, escapes);
  }
  return out;
}

/// A node may also stand for a kernel; here is how many tasks there were.
std::string caption(const Trace& trace) {
  const auto tasks = analyze(trace).tasks;
  return std::to_string(tasks) + (tasks == 1 ? " task" : " tasks");
}

const std::map<char, std::string> dot_escapes = {{'"', "\\\""}, {'\\', "\\\\"}};
const std::map<char, std::string> mermaid_escapes = {
    {'"', "#quot;"}, {'#', "#35;"}, {'<', "#lt;"}, {'>', "#gt;"}, {'&', "#amp;"}};

void dot_node(const Trace& trace, const Graph& graph, TaskId task, const std::string& indent,
              std::ostream& out) {
  const TraceSpan& span = *graph.tasks.at(task);
  out << indent << identifier(task) << " [label=\"" << joined(trace, span, "\\n", dot_escapes) << "\"";
  if (span.outcome == TaskOutcome::failed) out << ", color=red, fillcolor=\"#f8d0d0\"";
  if (span.outcome == TaskOutcome::poisoned) out << ", color=orange, fillcolor=\"#fde8c8\"";
  if (span.outcome == TaskOutcome::cancelled) out << ", color=gray, fillcolor=\"#e8e8e8\"";
  out << "];\n";
}

}  // namespace

void write_dot(const Trace& trace, std::ostream& out) {
  const Graph graph(trace);
  out << "digraph run {\n  label=\"" << caption(trace)
      << "\";\n  node [shape=box, style=\"rounded,filled\", fillcolor=white];\n";
  const auto top = graph.children.find(0);
  for (const TaskId task : top == graph.children.end() ? std::vector<TaskId>{} : top->second) {
    dot_node(trace, graph, task, "  ", out);
  }
  for (const auto& [parent, children] : graph.children) {
    if (parent == 0) continue;
    const std::string title =
        trace.text(graph.tasks.at(parent)->name) + " (" + actors::task_label(parent) + ")";
    out << "  subgraph cluster_" << identifier(parent) << " {\n    label=\"" << escaped(title, dot_escapes)
        << "\";\n";
    for (const TaskId task : children) dot_node(trace, graph, task, "    ", out);
    out << "  }\n";
  }
  for (const auto& edge : trace.edges) {
    if (!graph.tasks.contains(edge.from) || !graph.tasks.contains(edge.to)) continue;
    out << "  " << identifier(edge.from) << " -> " << identifier(edge.to) << " [label=\""
        << name_of(edge.kind) << "\"";
    if (graph.poison(edge)) out << ", color=red, penwidth=2";
    out << "];\n";
  }
  out << "}\n";
}

void write_mermaid(const Trace& trace, std::ostream& out) {
  const Graph graph(trace);
  out << "---\ntitle: " << caption(trace) << "\n---\nflowchart TD\n";
  const auto node = [&](TaskId task, const char* indent) {
    const TraceSpan& span = *graph.tasks.at(task);
    out << indent << identifier(task) << "[\"" << joined(trace, span, "<br>", mermaid_escapes) << "\"]";
    if (span.outcome != TaskOutcome::ok) out << ":::" << name_of(span.outcome);
    out << "\n";
  };
  for (const auto& [parent, children] : graph.children) {
    if (parent != 0) {
      out << "  subgraph in_" << identifier(parent) << "[\""
          << escaped(trace.text(graph.tasks.at(parent)->name), mermaid_escapes) << " ("
          << actors::task_label(parent) << ")\"]\n";
    }
    for (const TaskId task : children) node(task, parent == 0 ? "  " : "    ");
    if (parent != 0) out << "  end\n";
  }
  std::size_t drawn = 0;
  std::string poisoned;
  for (const auto& edge : trace.edges) {
    if (!graph.tasks.contains(edge.from) || !graph.tasks.contains(edge.to)) continue;
    out << "  " << identifier(edge.from) << " -- " << name_of(edge.kind) << " --> " << identifier(edge.to)
        << "\n";
    if (graph.poison(edge)) poisoned += (poisoned.empty() ? "" : ",") + std::to_string(drawn);
    ++drawn;
  }
  if (!poisoned.empty()) out << "  linkStyle " << poisoned << " stroke:red,stroke-width:2px\n";
  out << "  classDef failed fill:#f8d0d0,stroke:red\n  classDef poisoned fill:#fde8c8,stroke:orange\n"
      << "  classDef cancelled fill:#e8e8e8,stroke:gray\n";
}

Result<GraphKind> graph_kind(const std::string& path) {
  const auto ends = [&](std::string_view ending) { return path.ends_with(ending); };
  if (ends(".dot") || ends(".gv")) return GraphKind::dot;
  if (ends(".mmd") || ends(".mermaid")) return GraphKind::mermaid;
  return Error(Errc::cannot_write, "\"" + path + "\" does not say which kind of graph it is",
               "end the name in .dot (Graphviz) or .mmd (Mermaid)");
}

Result<void> write_graph_file(const Trace& trace, const std::string& path) {
  const auto kind = graph_kind(path);
  if (!kind) return kind.error();
  return write_file(path, [&](std::ostream& out) {
    *kind == GraphKind::dot ? write_dot(trace, out) : write_mermaid(trace, out);
  });
}

}  // namespace troupe::apps

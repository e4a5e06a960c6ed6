#include "trace/graph.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <ostream>
#include <set>
#include <vector>

#include "errc.hpp"
#include "trace/analysis.hpp"
#include "trace/files.hpp"
#include "troupe/runtime/spelling.hpp"

namespace troupe::apps {
namespace {

using actors::TaskId;
using actors::TaskOutcome;
using actors::Trace;
using actors::TraceSpan;

/// An edge as it is drawn.
struct Drawn {
  TaskId from, to;
  std::string label;  ///< empty: by way of tasks that are not drawn
  bool poison = false;
};

/// One node per task, or a box where a task has others inside; of several parts or attempts the one that says
/// most about how it ended. What would only say the same again is left out: the kernel of a task that is that
/// kernel.
class Graph {
 public:
  Graph(const Trace& trace, const std::string& name) {
    for (const auto& span : trace.spans) {
      if (span.task == 0) continue;
      const auto [it, fresh] = tasks.try_emplace(span.task, &span);
      const TraceSpan& known = *it->second;
      if (!fresh &&
          (span.attempt > known.attempt || (span.attempt == known.attempt && span.outcome > known.outcome))) {
        it->second = &span;
      }
    }
    find_parents();
    for (const auto& [task, span] : tasks) children[above(task)].push_back(task);
    leave_out_repetitions(trace);
    if (!name.empty()) keep_only(trace, name);
    find_edges(trace);
  }

  std::map<TaskId, const TraceSpan*> tasks;
  std::map<TaskId, std::vector<TaskId>> children;  ///< by parent, in order; parent 0: top level
  std::vector<Drawn> edges;

  bool is_box(TaskId task) const { return task != 0 && children.contains(task); }
  /// Some node in the box: what an edge to the box is tied to.
  TaskId inner(TaskId task) const {
    while (is_box(task)) task = children.at(task).front();
    return task;
  }
  TaskOutcome outcome(TaskId task) const {
    const auto it = tasks.find(task);
    return it == tasks.end() ? TaskOutcome::ok : it->second->outcome;
  }

 private:
  /// So deep are boxes drawn. No run has as many levels; a file that is damaged may say anything.
  static constexpr std::size_t most_boxes = 100;

  /// A task's place: the one it is part of, and how many are around it.
  struct Place {
    TaskId parent = 0;
    std::size_t depth = 0;
  };

  /// No circle is left then, and nothing deeper than `most_boxes`: those whose parent would make one, stand
  /// by themselves.
  void find_parents() {
    std::vector<TaskId> chain;  // each the parent of the one before
    std::set<TaskId> on_chain;
    for (const auto& [task, span] : tasks) {
      chain.clear();
      on_chain.clear();
      TaskId at = task;
      while (at != 0 && !places_.contains(at) && on_chain.insert(at).second) {
        chain.push_back(at);
        at = told_parent(at);
      }
      if (on_chain.contains(at)) {
        const auto circle = std::ranges::find(chain, at);
        for (auto it = circle; it != chain.end(); ++it) places_[*it] = {};
        chain.erase(circle, chain.end());
      }
      for (auto it = chain.rbegin(); it != chain.rend(); at = *it++) {
        const std::size_t depth = at == 0 ? 0 : places_.at(at).depth + 1;
        places_[*it] = depth > most_boxes ? Place{} : Place{at, depth};
      }
    }
  }
  /// As the file says it; 0: none that is known.
  TaskId told_parent(TaskId task) const {
    const TaskId parent = tasks.at(task)->parent;
    return tasks.contains(parent) ? parent : 0;
  }

  /// The task it is part of; 0: none.
  TaskId above(TaskId task) const { return places_.at(task).parent; }
  bool inside(TaskId task, TaskId box) const {
    for (; task != 0; task = above(task)) {
      if (task == box) return true;
    }
    return false;
  }

  void leave_out_repetitions(const Trace& trace) {
    std::set<TaskId> linked;
    for (const auto& edge : trace.edges) linked.insert({edge.from, edge.to});
    std::erase_if(children, [&](const auto& family) {
      const auto& [parent, members] = family;
      return parent != 0 && std::ranges::all_of(members, [&, of = tasks.at(parent)](TaskId task) {
               const TraceSpan& span = *tasks.at(task);
               return span.kind != of->kind && span.callable == of->callable && span.outcome == of->outcome &&
                      !linked.contains(task) && !children.contains(task);
             });
    });
  }

  /// Leaves those of that name, what is in them, and the boxes around them.
  void keep_only(const Trace& trace, const std::string& name) {
    std::set<TaskId> kept;
    const auto matches = [&](TaskId task) {
      const TraceSpan& span = *tasks.at(task);
      return fnmatch(name.c_str(), trace.text(span.name).c_str(), 0) == 0 ||
             (span.callable != 0 && fnmatch(name.c_str(), trace.text(span.callable).c_str(), 0) == 0);
    };
    for (const auto& [task, span] : tasks) {
      bool wanted = false;
      for (TaskId at = task; at != 0 && !wanted; at = above(at)) wanted = matches(at);
      if (!wanted) continue;
      for (TaskId at = task; at != 0; at = above(at)) kept.insert(at);
    }
    for (auto& [parent, members] : children) {
      std::erase_if(members, [&](TaskId task) { return !kept.contains(task); });
    }
    std::erase_if(children, [](const auto& family) { return family.second.empty(); });
    filtered_ = true;
  }

  void find_edges(const Trace& trace) {
    std::set<TaskId> drawn;
    for (const auto& [parent, members] : children) drawn.insert(members.begin(), members.end());
    std::map<TaskId, std::vector<TaskId>> after;
    for (const auto& edge : trace.edges) {
      if (filtered_) after[edge.from].push_back(edge.to);
      if (!drawn.contains(edge.from) || !drawn.contains(edge.to)) continue;
      const TaskOutcome from = outcome(edge.from);
      const bool poison = outcome(edge.to) == TaskOutcome::poisoned &&
                          (from == TaskOutcome::failed || from == TaskOutcome::poisoned);
      add({edge.from, edge.to, name_of(edge.kind), poison});
    }
    if (!filtered_) return;
    for (const TaskId begin : drawn) {
      std::set<TaskId> seen;
      std::vector<TaskId> open = {begin};
      while (!open.empty()) {
        const TaskId at = open.back();
        open.pop_back();
        const auto next = after.find(at);
        if (next == after.end()) continue;
        for (const TaskId task : next->second) {
          if (!seen.insert(task).second) continue;
          if (!drawn.contains(task)) {
            open.push_back(task);
          } else if (at != begin && task != begin) {
            add({begin, task, "", false});
          }
        }
      }
    }
  }

  /// An edge between a box and what is in it says nothing.
  void add(Drawn edge) {
    if (!inside(edge.from, edge.to) && !inside(edge.to, edge.from)) edges.push_back(std::move(edge));
  }

  std::map<TaskId, Place> places_;
  bool filtered_ = false;
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

/// A box's title; with how it ended where that was not well.
std::string box_title(const Trace& trace, const TraceSpan& span) {
  std::string title = trace.text(span.name) + " (" + actors::task_label(span.task) + ")";
  if (span.outcome != TaskOutcome::ok) title += std::string(" ") + name_of(span.outcome);
  if (span.error != 0) title += ": " + trace.text(span.error);
  return title;
}

const char* dot_colors(TaskOutcome outcome) {
  switch (outcome) {
    case TaskOutcome::failed:
      return "color=red, fillcolor=\"#f8d0d0\"";
    case TaskOutcome::poisoned:
      return "color=orange, fillcolor=\"#fde8c8\"";
    case TaskOutcome::cancelled:
      return "color=gray, fillcolor=\"#e8e8e8\"";
    default:
      return "";
  }
}

void dot_tasks(const Trace& trace, const Graph& graph, TaskId parent, const std::string& indent,
               std::ostream& out) {
  const auto family = graph.children.find(parent);
  if (family == graph.children.end()) return;
  for (const TaskId task : family->second) {
    const TraceSpan& span = *graph.tasks.at(task);
    const std::string colors = dot_colors(span.outcome);
    if (graph.is_box(task)) {
      out << indent << "subgraph cluster_" << identifier(task) << " {\n"
          << indent << "  label=\"" << escaped(box_title(trace, span), dot_escapes) << "\";\n";
      if (!colors.empty()) out << indent << "  graph [" << colors << "];\n";
      dot_tasks(trace, graph, task, indent + "  ", out);
      out << indent << "}\n";
    } else {
      out << indent << identifier(task) << " [label=\"" << joined(trace, span, "\\n", dot_escapes) << "\""
          << (colors.empty() ? "" : ", ") << colors << "];\n";
    }
  }
}

void mermaid_tasks(const Trace& trace, const Graph& graph, TaskId parent, const std::string& indent,
                   std::ostream& out) {
  const auto family = graph.children.find(parent);
  if (family == graph.children.end()) return;
  for (const TaskId task : family->second) {
    const TraceSpan& span = *graph.tasks.at(task);
    if (graph.is_box(task)) {
      out << indent << "subgraph in_" << identifier(task) << "[\""
          << escaped(box_title(trace, span), mermaid_escapes) << "\"]\n";
      mermaid_tasks(trace, graph, task, indent + "  ", out);
      out << indent << "end\n";
    } else {
      out << indent << identifier(task) << "[\"" << joined(trace, span, "<br>", mermaid_escapes) << "\"]";
      if (span.outcome != TaskOutcome::ok) out << ":::" << name_of(span.outcome);
      out << "\n";
    }
  }
}

}  // namespace

void write_dot(const Trace& trace, std::ostream& out, const std::string& name) {
  const Graph graph(trace, name);
  out << "digraph run {\n  label=\"" << caption(trace)
      << "\";\n  compound=true;\n  node [shape=box, style=\"rounded,filled\", fillcolor=white];\n";
  dot_tasks(trace, graph, 0, "  ", out);
  for (const auto& edge : graph.edges) {
    out << "  " << identifier(graph.inner(edge.from)) << " -> " << identifier(graph.inner(edge.to)) << " [";
    out << (edge.label.empty() ? "style=dotted" : "label=\"" + edge.label + "\"");
    if (graph.is_box(edge.from)) out << ", ltail=cluster_" << identifier(edge.from);
    if (graph.is_box(edge.to)) out << ", lhead=cluster_" << identifier(edge.to);
    if (edge.poison) out << ", color=red, penwidth=2";
    out << "];\n";
  }
  out << "}\n";
}

void write_mermaid(const Trace& trace, std::ostream& out, const std::string& name) {
  const Graph graph(trace, name);
  out << "---\ntitle: " << caption(trace) << "\n---\nflowchart TD\n";
  mermaid_tasks(trace, graph, 0, "  ", out);
  std::string poisoned;
  for (std::size_t drawn = 0; drawn < graph.edges.size(); ++drawn) {
    const auto& edge = graph.edges[drawn];
    const auto end = [&](TaskId task) { return (graph.is_box(task) ? "in_" : "") + identifier(task); };
    out << "  " << end(edge.from) << (edge.label.empty() ? " -.-> " : " -- " + edge.label + " --> ")
        << end(edge.to) << "\n";
    if (edge.poison) poisoned += (poisoned.empty() ? "" : ",") + std::to_string(drawn);
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

Result<void> write_graph_file(const Trace& trace, const std::string& path, const std::string& name) {
  const auto kind = graph_kind(path);
  if (!kind) return kind.error();
  if (!name.empty() && Graph(trace, name).children.empty()) {
    std::set<std::string> known;
    for (const auto& span : trace.spans) {
      if (span.task != 0) known.insert({trace.text(span.name), trace.text(span.callable)});
    }
    const std::vector<std::string> names(known.begin(), known.end());
    return Error(Errc::unknown_task, "no task or callable of the trace is called \"" + name + "\"",
                 runtime::did_you_mean(name, names) + "`troupe trace summary` lists the callables");
  }
  return write_file(path, [&](std::ostream& out) {
    *kind == GraphKind::dot ? write_dot(trace, out, name) : write_mermaid(trace, out, name);
  });
}

}  // namespace troupe::apps

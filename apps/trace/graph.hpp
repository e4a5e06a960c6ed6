#pragma once

#include <iosfwd>
#include <string>

#include "troupe/actors/trace.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::apps {

/// The task graph of a run as a picture's source. Nodes carry number, name and tags; edges their kind (raw,
/// waw, war, after). What failed is red, what it poisoned orange, and the edges along which the poison went
/// are bold red. What a task consists of (the kernels of a chip task, the tasks of a node's program) stands
/// in a box of that task, and edges lead to the box. `name` draws only the tasks whose name or callable it is
/// (* and ? stand for anything): where one leads to another by way of tasks that are not drawn, the edge is
/// dotted.
void write_dot(const actors::Trace& trace, std::ostream& out, const std::string& name = {});
void write_mermaid(const actors::Trace& trace, std::ostream& out, const std::string& name = {});

enum class GraphKind { dot, mermaid };
/// By the name's ending: .dot or .gv, .mmd or .mermaid.
[[nodiscard]] Result<GraphKind> graph_kind(const std::string& path);
[[nodiscard]] Result<void> write_graph_file(const actors::Trace& trace, const std::string& path,
                                            const std::string& name = {});

/// The core tasks of a run in the swimlane format (version 1) that existing tools of the field read: tasks
/// with task_id, func_id, core_id, core_type, ring_id, times in µs relative to the first event, fanout.
/// Further fields: name, chip.
void write_swimlane(const actors::Trace& trace, std::ostream& out);
[[nodiscard]] Result<void> write_swimlane_file(const actors::Trace& trace, const std::string& path);

}  // namespace troupe::apps

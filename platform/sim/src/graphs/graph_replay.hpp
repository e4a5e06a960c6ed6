#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "graphs/chip_graph.hpp"
#include "runs/runs.hpp"

namespace troupe::platform::sim {

/// One replay of a graph: what it was given, and how far it is. To the task graph of the run it is one task,
/// whose record is `whole`. Handed in before it begins; from then on `waiting` and the counts are touched
/// with the baton, the rest is read by any thread.
struct GraphReplay {
  std::uint64_t number = 0;  ///< no two replays of a chip have the same
  std::shared_ptr<const ChipGraph> graph;
  std::string name;  ///< for people; empty: none was given
  std::vector<KernelEntry*> kernels;
  std::vector<GraphSlots::Slot> slots;
  std::vector<std::uint64_t> scalars;
  std::vector<std::uint8_t> kinds;  ///< of the scalars
  runtime::BufferRef workspace;     ///< none, unless the graph wants one
  TaskRecord* whole = nullptr;
  KernelEntry* store = nullptr;  ///< what a step without a kernel is called, which writes an element
  bool keeps_all = false;        ///< whoever looks at tasks wants what running them does not take

  std::vector<std::uint64_t> bases;  ///< addresses of the slots' first elements, and of the workspace
  std::vector<std::uint32_t> waiting;
  std::uint32_t ended = 0, running = 0;
  std::uint64_t first_number = 0, submitted_ns = 0;  ///< in a trace
  bool begun = false;

  bool is_over() const noexcept { return ended == graph->size(); }
  /// The step that the record stands for, as a task: its tensors with addresses, its numbers.
  void expand(TaskRecord& task) const noexcept;
  /// As whoever made the graph called the step; null: not at all.
  const char* own_name_of(std::uint32_t step) const noexcept {
    const auto own = graph->steps[step].name;
    return own != 0 ? graph->names[own - 1U].c_str() : nullptr;
  }
  /// What a step is called, for people.
  std::string name_of(std::uint32_t step) const;
  /// A failure of it, as one of the whole.
  Error failure_of(std::uint32_t step, const Error& why) const;
};

}  // namespace troupe::platform::sim

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "graphs/graph_maker.hpp"
#include "runs/runs.hpp"
#include "troupe/runtime/recorded_edges.hpp"

namespace troupe::platform::sim {

/// A kernel as a recording knows it: by the name that means it, and what that meant.
struct RecordedKernel {
  std::string name;
  KernelEntry* entry = nullptr;
  std::uint64_t callable = 0;  ///< its number: an entry may have left its place to another one
};

/// Makes a graph of what a chip program submits: tasks as they were built, edges between all of them. What
/// cannot be replayed is an error that says which task. The program's thread, with the baton.
class GraphRecorder {
 public:
  /// `title`: how errors name the graph.
  GraphRecorder(std::string title, GraphSlots slots);

  /// The scalars of the next task that are scalars of the graph (troupe_chip_task_v1::scalar_slots).
  void expect_scalars(const std::uint8_t* slots) noexcept { scalar_slots_ = slots; }
  /// A task that was built, and is about to be submitted.
  Result<void> add(const TaskRecord& task, std::span<const runtime::Access> accesses,
                   std::span<const std::uint64_t> after);
  /// Its number in the run's graph, by which later ones name it.
  void submitted(std::uint64_t number) { numbers_[number] = maker_.size() - 1; }
  Result<void> add_edge(std::uint64_t before, std::uint64_t after);
  /// Memory that the program asked for without a task.
  void add_memory(const runtime::BufferRef& buffer, std::uint64_t bytes);
  /// The program asks for something that a replay cannot give: in words.
  Error refuse(const std::string& what, const std::string& hint) const;

  const GraphSlots& slots() const noexcept { return slots_; }
  std::uint64_t workspace_bytes() const noexcept { return workspace_; }
  /// All of it was submitted. Nothing: it is too varied to be kept.
  std::shared_ptr<const ChipGraph> finish() { return maker_.finish(workspace_); }
  std::vector<RecordedKernel> take_kernels() { return std::move(kernels_); }

 private:
  struct Place {
    std::uint32_t slot = 0;
    std::uint64_t offset = 0;
  };
  std::string title_of(const TaskRecord& task) const;
  std::uint16_t number_of(KernelEntry& entry);
  Result<Place> place_of(const TaskRecord& task, std::uint32_t tensor) const;
  void add_scalars(const TaskRecord& task);

  const std::string title_;
  const GraphSlots slots_;
  GraphMaker maker_;
  const std::uint8_t* scalar_slots_ = nullptr;
  std::vector<RecordedKernel> kernels_;
  std::map<const KernelEntry*, std::uint16_t> kernel_numbers_;
  /// Memory that the graph makes: where in the workspace it lies.
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::uint64_t> made_;
  std::uint64_t workspace_ = 0;
  runtime::RecordedEdges edges_;
  std::vector<std::uint32_t> producers_;
  std::unordered_map<std::uint64_t, std::uint32_t> numbers_;
  std::string last_;  ///< the title of the task that was added last
};

}  // namespace troupe::platform::sim

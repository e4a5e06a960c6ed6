// From what the host says of a graph to the form in which it is replayed.
#include "graphs/launched_graph.hpp"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "graphs/graph_maker.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

namespace {

using runtime::Tensor;

class Translation {
 public:
  Translation(const troupe_graph& from, const CallableTable& callables)
      : from_(from), callables_(callables), maker_(from.slot_count) {}

  Result<void> make() {
    const auto* tensor = from_.tensors;
    const auto* scalar = from_.scalars;
    const auto* producer = from_.producers;
    for (std::uint64_t i = 0; i < from_.task_count; ++i) {
      const auto& task = from_.tasks[i];
      const auto kernel = kernel_of(task);
      if (!kernel) return kernel.error();
      std::array<std::uint16_t, 3> lanes{};
      const bool on_aic = kernels[*kernel - 1U]->core_kind == TROUPE_CORE_AIC;
      lanes[on_aic ? TROUPE_CHIP_AIC : TROUPE_CHIP_AIV0] = *kernel;
      const bool together = (task.flags & TROUPE_RUN_SYNC_START) != 0;
      maker_.begin({.lanes = lanes,
                    .blocks = std::max(task.blocks, 1U),
                    .flags = static_cast<std::uint16_t>(together ? ChipGraph::sync_start : 0),
                    .name = task.name != nullptr ? task.name : ""});
      std::vector<runtime::Tag> tags;
      for (std::uint32_t k = 0; k < task.tensor_count; ++k, ++tensor) {
        const auto tag = static_cast<runtime::Tag>(tensor->tag);
        auto seen = common::described_tensor(*tensor);
        if (!seen) return bad(i, seen.error().message());
        tags.push_back(tag);
        maker_.add_view(tensor->slot, tensor->offset,
                        runtime::describe(*seen, 0, runtime::AddressSpace::device, tag), tag);
      }
      for (std::uint32_t k = 0; k < task.scalar_count; ++k, ++scalar) {
        if (scalar->slot != TROUPE_GRAPH_NO_SLOT) {
          maker_.add_scalar_slot(scalar->slot);
        } else {
          maker_.add_scalar(scalar->word, scalar->kind & ~ChipGraph::slot_kind);
        }
      }
      for (std::uint32_t k = 0; k < task.producer_count; ++k) maker_.add_producer(*producer++);
      const auto& signature = kernels[*kernel - 1U]->signature;
      const auto wrong = signature.empty() ? "" : signature_defect(signature, tags, task.scalar_count);
      if (!wrong.empty())
        return bad(i, "its arguments do not fit kernel '" + kernels[*kernel - 1U]->name + "': " + wrong);
    }
    return make_slots();
  }

  std::shared_ptr<const ChipGraph> finish() { return maker_.finish(0); }

  std::vector<std::shared_ptr<const RegisteredCallable>> kernels;
  GraphSlots slots;
  bool may_wait = false;

 private:
  static Error bad(std::uint64_t task, const std::string& why) {
    return {Errc::invalid_argument, "task " + std::to_string(task) + " of a graph: " + why};
  }

  Result<std::uint16_t> kernel_of(const troupe_graph_task& task) {
    if (const auto known = numbers_.find(task.callable); known != numbers_.end()) return known->second;
    auto found = callables_.find(task.callable);
    if (!found) return found.error();
    if ((*found)->is_program()) {
      return Error(Errc::unsupported, "a chip program, '" + (*found)->name + "', is no task of a graph",
                   "launch the tasks of the graph as runs");
    }
    if (kernels.size() >= 0xFFFF) return Error(Errc::unsupported, "a graph of so many different kernels");
    may_wait = may_wait || (*found)->may_wait();
    kernels.push_back(*std::move(found));
    return numbers_.emplace(task.callable, static_cast<std::uint16_t>(kernels.size())).first->second;
  }

  Result<void> make_slots() {
    std::vector<GraphSlots::Slot> made;
    for (std::uint32_t i = 0; i < from_.slot_count; ++i) {
      const auto& slot = from_.slots[i];
      const auto size = size_of_element(slot.dtype);
      if (slot.start_offset > (std::uint64_t{1} << 40)) return bad_slot(i, "it starts too far out");
      // A buffer for each number, apart from all others.
      auto tensor = common::described_tensor(slot, slot.buffer, slot.start_offset * size);
      if (!tensor) return bad_slot(i, tensor.error().message());
      made.push_back({*tensor, static_cast<runtime::Tag>(slot.tag)});
    }
    const bool known = (from_.flags & TROUPE_GRAPH_OVERLAPS_ARE_KNOWN) != 0;
    slots = GraphSlots(std::move(made), std::vector<std::uint8_t>(from_.scalar_slot_count), !known);
    return {};
  }
  static Error bad_slot(std::uint32_t slot, const std::string& why) {
    return {Errc::invalid_argument, "slot " + std::to_string(slot) + " of a graph: " + why};
  }

  const troupe_graph& from_;
  const CallableTable& callables_;
  GraphMaker maker_;
  std::map<std::uint64_t, std::uint16_t> numbers_;
};

}  // namespace

Result<std::unique_ptr<LaunchedGraph>> LaunchedGraph::make(const troupe_graph& description,
                                                           const CallableTable& callables) {
  Translation translation(description, callables);
  if (auto made = translation.make(); !made) return made.error();
  std::unique_ptr<LaunchedGraph> graph(new LaunchedGraph);
  graph->graph_ = translation.finish();
  if (graph->graph_ == nullptr) {
    return Error(Errc::unsupported, "a graph with so many different layouts, names or kernels",
                 "launch the tasks of the graph as runs");
  }
  graph->slots_ = std::move(translation.slots);
  graph->kernels_ = std::move(translation.kernels);
  graph->may_wait_ = translation.may_wait;
  return graph;
}

}  // namespace troupe::platform::sim

#include "graphs/graph_replay.hpp"

#include <algorithm>

namespace troupe::platform::sim {

void GraphReplay::expand(TaskRecord& task) const noexcept {
  const std::uint32_t at = task.step;
  const auto& step = graph->steps[at];
  const auto views = graph->views_of(at);
  // Steps that follow each other mostly see tensors of one shape: then the address alone is new.
  if (task.expanded_by != number) task.expanded = 0;
  task.expanded_by = number;
  std::uint32_t count = 0;
  for (const auto& view : views) {
    auto& tensor = task.tensors[count];
    if (count >= task.expanded || task.layouts[count] != view.layout) {
      tensor = graph->layouts[view.layout];
      task.layouts[count] = view.layout;
    }
    tensor.address = bases[view.slot] + view.offset;
    task.tags[count] = static_cast<runtime::Tag>(view.tag);
    if (keeps_all) task.buffers[count] = {0, 0, tensor.address};
    ++count;
  }
  task.expanded = std::max(task.expanded, count);
  task.scalar_count = graph->scalars_of(at);
  for (std::uint32_t i = 0; i < task.scalar_count; ++i) {
    const std::uint64_t word = graph->scalars[step.scalars + i];
    const std::uint8_t kind = graph->kinds[step.scalars + i];
    const bool is_slot = kind == ChipGraph::slot_kind;
    task.scalars[i] = is_slot ? scalars[word] : word;
    task.scalar_kinds[i] = is_slot ? kinds[word] : kind;
  }
  const auto flags = graph->codes[step.code].flags;
  task.has_predicate = (flags & ChipGraph::has_predicate) != 0;
  task.has_fills = (flags & ChipGraph::has_fills) != 0;
  task.extra_tensors = task.has_predicate ? 1 : 0;
  task.tensor_count = count - task.extra_tensors;
  if (task.has_predicate) [[unlikely]] {
    const auto known = std::lower_bound(
        graph->predicates.begin(), graph->predicates.end(), at,
        [](const ChipGraph::PredicateOf& it, std::uint32_t wanted) { return it.step < wanted; });
    task.predicate = {nullptr, known->element, known->compare, 0, known->value};
  }
  if (!task.has_fills) return;
  auto known =
      std::lower_bound(graph->fills.begin(), graph->fills.end(), step.views,
                       [](const ChipGraph::FillOf& it, std::uint32_t wanted) { return it.view < wanted; });
  for (std::uint32_t i = 0; i < count; ++i) {
    const bool wanted = known != graph->fills.end() && known->view == step.views + i;
    task.fills[i] = {.wanted = wanted, .element = wanted ? known->element : 0};
    if (wanted) ++known;
  }
}

std::string GraphReplay::name_of(std::uint32_t step) const {
  if (const auto own = graph->steps[step].name; own != 0) return graph->names[own - 1U];
  for (const auto lane : graph->codes[graph->steps[step].code].lanes) {
    if (lane != 0) return kernels[lane - 1U]->name;
  }
  return store->name;
}

Error GraphReplay::failure_of(std::uint32_t step, const Error& why) const {
  const std::string of = name.empty() ? "" : " of graph \"" + name + "\"";
  return Error(why.code(),
               "task \"" + name_of(step) + "\" (number " + std::to_string(graph->number_of(step)) + " of " +
                   std::to_string(graph->size()) + ")" + of + " failed: " + why.message(),
               why.hint());
}

}  // namespace troupe::platform::sim

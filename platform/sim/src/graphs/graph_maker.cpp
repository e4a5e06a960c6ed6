#include "graphs/graph_maker.hpp"

#include <algorithm>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "graphs/graph_order.hpp"

namespace troupe::platform::sim {

namespace {

constexpr std::size_t most_kinds = std::numeric_limits<std::uint16_t>::max();

/// What of a descriptor makes it another one for a kernel.
std::vector<std::uint32_t> key_of(const runtime::TensorDescriptor& layout) {
  std::vector<std::uint32_t> key{layout.ndims, layout.dtype, layout.manual_dep};
  key.insert(key.end(), layout.shapes, layout.shapes + layout.ndims);
  key.insert(key.end(), layout.strides, layout.strides + layout.ndims);
  return key;
}

}  // namespace

void GraphMaker::begin(const Step& step) {
  end_step();
  ChipGraph::Step& next = graph_.steps.emplace_back();
  next.views = static_cast<std::uint32_t>(graph_.views.size());
  next.scalars = static_cast<std::uint32_t>(graph_.scalars.size());
  std::copy(step.lanes.begin(), step.lanes.end(), code_.lanes.begin());
  code_.blocks = step.blocks;
  code_.flags = step.flags;
  next.name = name_of(step.name);
  graph_.producers.push_back(0);
  if ((step.flags & ChipGraph::sync_start) == 0 || step.blocks == 1) return;
  const bool clusters = step.lanes[TROUPE_CHIP_AIC] != 0 ||
                        (step.lanes[TROUPE_CHIP_AIV0] != 0 && step.lanes[TROUPE_CHIP_AIV1] != 0);
  auto& most = clusters ? graph_.most_clusters : graph_.most_aivs;
  most = std::max(most, step.blocks);
}

/// All of the latest step is known.
void GraphMaker::end_step() {
  if (graph_.steps.empty()) return;
  const auto [known, is_new] = codes_.try_emplace(code_, static_cast<std::uint16_t>(graph_.codes.size()));
  if (is_new) graph_.codes.push_back(code_);
  too_many_ = too_many_ || graph_.codes.size() > most_kinds;
  graph_.steps.back().code = known->second;
}

std::uint16_t GraphMaker::name_of(std::string_view name) {
  if (name.empty()) return 0;
  if (const auto known = names_.find(name); known != names_.end()) return known->second;
  graph_.names.emplace_back(name);
  too_many_ = too_many_ || graph_.names.size() > most_kinds;
  return names_.emplace(name, static_cast<std::uint16_t>(graph_.names.size())).first->second;
}

void GraphMaker::add_view(std::uint32_t slot, std::uint64_t offset, const runtime::TensorDescriptor& layout,
                          runtime::Tag tag) {
  const auto [known, is_new] =
      layouts_.try_emplace(key_of(layout), static_cast<std::uint16_t>(graph_.layouts.size()));
  if (is_new) {
    // What it is a part of differs from replay to replay: its own bytes alone are its buffer.
    auto& kept = graph_.layouts.emplace_back();
    kept.ndims = layout.ndims;
    kept.dtype = layout.dtype;
    kept.manual_dep = layout.manual_dep;
    kept.is_contiguous = layout.is_contiguous;
    kept.address_space = layout.address_space;
    std::copy_n(layout.shapes, layout.ndims, kept.shapes);
    std::copy_n(layout.strides, layout.ndims, kept.strides);
    kept.extent = layout.extent;
    kept.size = kept.extent * size_of_element(kept.dtype);
    too_many_ = too_many_ || graph_.layouts.size() > ChipGraph::most_layouts;
  }
  too_many_ = too_many_ || slot > ChipGraph::most_slots || offset >= ChipGraph::offsets;
  auto& view = graph_.views.emplace_back();
  view.offset = offset & (ChipGraph::offsets - 1);
  view.slot = slot & ChipGraph::most_slots;
  view.layout = known->second & (ChipGraph::most_layouts - 1);
  view.tag = static_cast<std::uint8_t>(tag) & 7U;
}

void GraphMaker::add_fill(std::uint64_t element) {
  graph_.fills.push_back({static_cast<std::uint32_t>(graph_.views.size()) - 1, element});
  code_.flags |= ChipGraph::has_fills;
}

void GraphMaker::add_scalar(std::uint64_t word, std::uint8_t kind) {
  graph_.scalars.push_back(word);
  graph_.kinds.push_back(kind);
}

void GraphMaker::add_scalar_slot(std::uint32_t slot) { add_scalar(slot, ChipGraph::slot_kind); }

void GraphMaker::set_predicate(const troupe_chip_predicate_v1& predicate) {
  graph_.predicates.push_back({.step = graph_.size() - 1,
                               .compare = predicate.compare,
                               .element = predicate.element,
                               .value = predicate.value});
  code_.flags |= ChipGraph::has_predicate;
}

std::shared_ptr<const ChipGraph> GraphMaker::finish(std::uint64_t workspace_bytes) {
  end_step();
  if (too_many_) return nullptr;
  std::sort(producers_.begin(), producers_.end());
  producers_.erase(std::unique(producers_.begin(), producers_.end()), producers_.end());
  auto& steps = graph_.steps;
  const std::uint32_t count = graph_.size();
  steps.emplace_back();  // the end of all lists
  steps.back().views = static_cast<std::uint32_t>(graph_.views.size());
  steps.back().scalars = static_cast<std::uint32_t>(graph_.scalars.size());
  std::size_t next = 0;
  graph_.successors.reserve(producers_.size());
  for (std::uint32_t step = 0; step <= count; ++step) {
    steps[step].successors = static_cast<std::uint32_t>(next);
    for (; next < producers_.size() && producers_[next].first == step; ++next) {
      graph_.successors.push_back(producers_[next].second);
      ++graph_.producers[producers_[next].second];
    }
  }
  for (std::uint32_t step = 0; step < count; ++step) {
    if (graph_.producers[step] == 0) graph_.first.push_back(step);
  }
  graph_.workspace_bytes = workspace_bytes;
  lay_out_as_ready(graph_);
  graph_.views.shrink_to_fit();
  graph_.scalars.shrink_to_fit();
  graph_.kinds.shrink_to_fit();
  steps.shrink_to_fit();
  graph_.producers.shrink_to_fit();
  return std::make_shared<const ChipGraph>(std::move(graph_));
}

}  // namespace troupe::platform::sim

#include "graphs/chip_graph.hpp"

#include <algorithm>
#include <cstring>

namespace troupe::platform::sim {

namespace {

template <class T>
std::size_t bytes_of(const std::vector<T>& list) noexcept {
  return list.capacity() * sizeof(T);
}

bool same(const runtime::TensorDescriptor& a, const runtime::TensorDescriptor& b) noexcept {
  return std::memcmp(&a, &b, sizeof a) == 0;
}

/// Where they lie, not where they are.
bool same(const ChipGraph::PredicateOf& a, const ChipGraph::PredicateOf& b) noexcept {
  return a.compare == b.compare && a.element == b.element && a.value == b.value;
}

/// By the number by which each was submitted.
std::vector<std::uint32_t> places_of(const ChipGraph& graph) {
  std::vector<std::uint32_t> places(graph.size());
  for (std::uint32_t step = 0; step < graph.size(); ++step) places[graph.number_of(step)] = step;
  return places;
}

}  // namespace

std::size_t ChipGraph::bytes() const noexcept {
  return bytes_of(steps) + bytes_of(views) + bytes_of(layouts) + bytes_of(scalars) + bytes_of(kinds) +
         bytes_of(successors) + bytes_of(producers) + bytes_of(first) + bytes_of(codes) + bytes_of(fills) +
         bytes_of(predicates) + bytes_of(names) + bytes_of(numbers);
}

std::optional<std::uint32_t> ChipGraph::differs_at(const ChipGraph& other) const {
  const auto predicate_of = [](const ChipGraph& graph, std::uint32_t step) {
    const auto found =
        std::lower_bound(graph.predicates.begin(), graph.predicates.end(), step,
                         [](const PredicateOf& it, std::uint32_t wanted) { return it.step < wanted; });
    return found != graph.predicates.end() && found->step == step ? *found : PredicateOf{};
  };
  const auto fill_of = [](const ChipGraph& graph, std::uint32_t view) {
    const auto found =
        std::lower_bound(graph.fills.begin(), graph.fills.end(), view,
                         [](const FillOf& it, std::uint32_t wanted) { return it.view < wanted; });
    return found != graph.fills.end() && found->view == view ? *found : FillOf{};
  };
  const std::uint32_t both = std::min(size(), other.size());
  const auto ours = places_of(*this), others = places_of(other);
  // In the order in which they were submitted.
  for (std::uint32_t number = 0; number < both; ++number) {
    const auto step = ours[number], their_step = others[number];
    const Step &a = steps[step], &b = other.steps[their_step];
    const auto own = views_of(step), theirs = other.views_of(their_step);
    const std::uint32_t count = scalars_of(step);
    // What is made anew lies in the workspace where it lay before, because it was asked for in this order.
    bool equal = codes[a.code] == other.codes[b.code] && own.size() == theirs.size() &&
                 count == other.scalars_of(their_step) && producers[step] == other.producers[their_step] &&
                 same(predicate_of(*this, step), predicate_of(other, their_step));
    for (std::size_t i = 0; equal && i < own.size(); ++i) {
      equal = own[i].offset == theirs[i].offset && own[i].slot == theirs[i].slot &&
              own[i].tag == theirs[i].tag && same(layouts[own[i].layout], other.layouts[theirs[i].layout]) &&
              fill_of(*this, a.views + static_cast<std::uint32_t>(i)).element ==
                  fill_of(other, b.views + static_cast<std::uint32_t>(i)).element;
    }
    for (std::uint32_t i = 0; equal && i < count; ++i) {
      equal = scalars[a.scalars + i] == other.scalars[b.scalars + i] &&
              kinds[a.scalars + i] == other.kinds[b.scalars + i];
    }
    if (!equal) return number;
  }
  if (size() != other.size()) return both;
  return std::nullopt;
}

}  // namespace troupe::platform::sim

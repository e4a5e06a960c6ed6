#include "graphs/graph_order.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

namespace troupe::platform::sim {

namespace {

using Numbers = std::vector<std::uint32_t>;

/// First ready, first taken; a step that waits for the one before it alone follows that directly.
Numbers order_of(const ChipGraph& graph) {
  constexpr auto none = std::numeric_limits<std::uint32_t>::max();
  auto waiting = graph.producers;
  Numbers order, ready = graph.first;
  order.reserve(graph.size());
  for (std::size_t next = 0; next < ready.size(); ++next) {
    for (auto step = ready[next]; step != none;) {
      order.push_back(step);
      auto follower = none;
      for (const auto successor : graph.successors_of(step)) {
        if (--waiting[successor] != 0) continue;
        if (follower == none && graph.producers[successor] == 1) {
          follower = successor;
        } else {
          ready.push_back(successor);
        }
      }
      step = follower;
    }
  }
  return order;
}

template <class T>
void append(std::vector<T>& to, const std::vector<T>& from, std::uint32_t begin, std::uint32_t end) {
  to.insert(to.end(), from.begin() + begin, from.begin() + end);
}

}  // namespace

void lay_out_as_ready(ChipGraph& graph) {
  auto order = order_of(graph);
  if (order.size() != graph.size() || std::is_sorted(order.begin(), order.end())) return;
  Numbers place(order.size());
  for (std::uint32_t at = 0; at < order.size(); ++at) place[order[at]] = at;
  ChipGraph next;
  next.steps.reserve(graph.steps.size());
  next.views.reserve(graph.views.size());
  next.scalars.reserve(graph.scalars.size());
  next.kinds.reserve(graph.kinds.size());
  next.successors.reserve(graph.successors.size());
  next.producers.reserve(graph.producers.size());
  const auto begin = [&](ChipGraph::Step step) {
    step.views = static_cast<std::uint32_t>(next.views.size());
    step.scalars = static_cast<std::uint32_t>(next.scalars.size());
    step.successors = static_cast<std::uint32_t>(next.successors.size());
    next.steps.push_back(step);
  };
  auto predicates = std::exchange(graph.predicates, {});
  for (auto& predicate : predicates) predicate.step = place[predicate.step];
  std::sort(predicates.begin(), predicates.end(),
            [](const auto& a, const auto& b) { return a.step < b.step; });
  for (const auto step : order) {
    const auto &from = graph.steps[step], &end = graph.steps[step + 1];
    begin(from);
    // Fills are by view.
    auto fill = std::lower_bound(graph.fills.begin(), graph.fills.end(), from.views,
                                 [](const auto& it, std::uint32_t view) { return it.view < view; });
    for (; fill != graph.fills.end() && fill->view < end.views; ++fill) {
      next.fills.push_back({next.steps.back().views + (fill->view - from.views), fill->element});
    }
    append(next.views, graph.views, from.views, end.views);
    append(next.scalars, graph.scalars, from.scalars, end.scalars);
    append(next.kinds, graph.kinds, from.scalars, end.scalars);
    for (const auto successor : graph.successors_of(step)) next.successors.push_back(place[successor]);
    std::sort(next.successors.begin() + next.steps.back().successors, next.successors.end());
    next.producers.push_back(graph.producers[step]);
  }
  begin({});
  graph.steps = std::move(next.steps);
  graph.views = std::move(next.views);
  graph.scalars = std::move(next.scalars);
  graph.kinds = std::move(next.kinds);
  graph.successors = std::move(next.successors);
  graph.producers = std::move(next.producers);
  graph.fills = std::move(next.fills);
  graph.predicates = std::move(predicates);
  for (auto& step : graph.first) step = place[step];
  std::sort(graph.first.begin(), graph.first.end());
  graph.numbers = std::move(order);
}

}  // namespace troupe::platform::sim

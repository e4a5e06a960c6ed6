// The policies that ship.
#include <algorithm>
#include <tuple>

#include "troupe/actors/placing.hpp"

namespace troupe::actors {
namespace {

/// The first of those for which `cost` is least.
template <class Cost>
std::size_t cheapest(std::span<const ChipForTask> chips, Cost cost) {
  const auto chosen = std::min_element(chips.begin(), chips.end(),
                                       [&](const auto& a, const auto& b) { return cost(a) < cost(b); });
  return static_cast<std::size_t>(chosen - chips.begin());
}

}  // namespace

std::size_t least_loaded(const TaskToPlace&, std::span<const ChipForTask> chips) {
  return cheapest(chips, [](const ChipForTask& it) { return std::tuple(it.tasks, it.missing); });
}

std::size_t where_the_data_is(const TaskToPlace&, std::span<const ChipForTask> chips) {
  return cheapest(chips, [](const ChipForTask& it) { return std::tuple(it.missing, it.tasks); });
}

std::size_t earliest_finish(const TaskToPlace& task, std::span<const ChipForTask> chips) {
  if (!chips.front().takes) return least_loaded(task, chips);
  // What a task reads comes while those before it run.
  return cheapest(chips, [](const ChipForTask& it) {
    return std::tuple(std::max(it.busy, it.brings) + *it.takes, it.missing, it.tasks);
  });
}

}  // namespace troupe::actors

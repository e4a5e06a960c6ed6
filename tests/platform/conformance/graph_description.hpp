#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "troupe/platform/device_abi.h"
#include "troupe/runtime/task_args.hpp"

namespace troupe::conformance {

using runtime::Tag;

/// A description while it is put together; owns its lists.
struct Description {
  std::uint32_t slot(const troupe_tensor_arg& like, std::uint64_t buffer) {
    slots_.push_back(like);
    slots_.back().buffer = buffer;
    return static_cast<std::uint32_t>(slots_.size()) - 1;
  }
  void task(std::uint64_t callable, const char* name, std::vector<std::uint32_t> producers = {}) {
    troupe_graph_task task{};
    task.callable = callable;
    task.name = name;
    task.producer_count = static_cast<std::uint32_t>(producers.size());
    producers_.insert(producers_.end(), producers.begin(), producers.end());
    tasks_.push_back(task);
  }
  /// All of a slot, for the task that was told last.
  troupe_graph_tensor& view(std::uint32_t slot, Tag tag) {
    const auto& whole = slots_[slot];
    troupe_graph_tensor view{};
    view.slot = slot;
    view.ndims = whole.ndims;
    std::copy(whole.shape, whole.shape + 5, view.shape);
    std::copy(whole.strides, whole.strides + 5, view.strides);
    view.dtype = whole.dtype;
    view.tag = static_cast<std::uint8_t>(tag);
    ++tasks_.back().tensor_count;
    return tensors_.emplace_back(view);
  }
  void scalar_slot(std::uint32_t slot) {
    scalars_.push_back({0, slot, TROUPE_SCALAR_ANY, {}});
    ++tasks_.back().scalar_count;
    scalar_slots_ = std::max(scalar_slots_, slot + 1);
  }
  void scalar(float value) {
    scalars_.push_back({runtime::to_u64(value), TROUPE_GRAPH_NO_SLOT, TROUPE_SCALAR_ANY, {}});
    ++tasks_.back().scalar_count;
  }
  troupe_graph graph() const {
    troupe_graph graph{};
    graph.size = sizeof graph;
    graph.name = "the graph";
    graph.tasks = tasks_.data();
    graph.tensors = tensors_.data();
    graph.scalars = scalars_.data();
    graph.producers = producers_.data();
    graph.slots = slots_.data();
    graph.task_count = tasks_.size();
    graph.tensor_count = tensors_.size();
    graph.scalar_count = scalars_.size();
    graph.producer_count = producers_.size();
    graph.slot_count = static_cast<std::uint32_t>(slots_.size());
    graph.scalar_slot_count = scalar_slots_;
    return graph;
  }

  std::vector<troupe_graph_task> tasks_;
  std::vector<troupe_graph_tensor> tensors_;
  std::vector<troupe_graph_scalar> scalars_;
  std::vector<std::uint32_t> producers_;
  std::vector<troupe_tensor_arg> slots_;
  std::uint32_t scalar_slots_ = 0;
};

}  // namespace troupe::conformance

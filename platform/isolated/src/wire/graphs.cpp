#include "wire/graphs.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace troupe::platform::isolation {
namespace {

constexpr std::size_t most_name = 4096;

/// A graph without its lists.
struct GraphHead {
  std::uint64_t task_count, tensor_count, scalar_count, producer_count, name_bytes;
  std::uint32_t slot_count, scalar_slot_count, flags, reserved;
};

std::string_view name_of(const char* name) {
  return std::string_view(name != nullptr ? name : "").substr(0, most_name);
}

}  // namespace

void put_graph(Writer& to, const troupe_graph& graph) {
  std::uint64_t name_bytes = 0;
  for (std::uint64_t i = 0; i < graph.task_count; ++i) name_bytes += name_of(graph.tasks[i].name).size() + 1;
  to.put(GraphHead{graph.task_count, graph.tensor_count, graph.scalar_count, graph.producer_count, name_bytes,
                   graph.slot_count, graph.scalar_slot_count, graph.flags, 0});
  to.text(name_of(graph.name));
  for (std::uint64_t i = 0; i < graph.task_count; ++i) {
    auto task = graph.tasks[i];
    task.name = nullptr;
    to.put(task);
  }
  to.raw(graph.tensors, graph.tensor_count * sizeof(troupe_graph_tensor));
  to.raw(graph.scalars, graph.scalar_count * sizeof(troupe_graph_scalar));
  to.raw(graph.producers, graph.producer_count * sizeof(std::uint32_t));
  to.raw(graph.slots, graph.slot_count * sizeof(troupe_tensor_arg));
  for (std::uint64_t i = 0; i < graph.task_count; ++i) {
    const auto name = name_of(graph.tasks[i].name);
    to.raw(name.data(), name.size()).put('\0');
  }
}

bool GraphNews::read(Reader from) {
  const auto head = from.get<GraphHead>();
  name_ = from.text();
  if (!from.values(tasks_, head.task_count) || !from.values(tensors_, head.tensor_count) ||
      !from.values(scalars_, head.scalar_count) || !from.values(producers_, head.producer_count) ||
      !from.values(slots_, head.slot_count) || !from.values(names_, head.name_bytes) || !from.complete()) {
    return false;
  }
  auto next = names_.cbegin();
  for (auto& task : tasks_) {
    const auto end = std::find(next, names_.cend(), '\0');
    if (end == names_.cend()) return false;
    task.name = next == end ? nullptr : &*next;
    next = end + 1;
  }
  graph_.size = sizeof graph_;
  graph_.flags = head.flags;
  graph_.name = name_.c_str();
  graph_.tasks = tasks_.data();
  graph_.tensors = tensors_.data();
  graph_.scalars = scalars_.data();
  graph_.producers = producers_.data();
  graph_.slots = slots_.data();
  graph_.task_count = head.task_count;
  graph_.tensor_count = head.tensor_count;
  graph_.scalar_count = head.scalar_count;
  graph_.producer_count = head.producer_count;
  graph_.slot_count = head.slot_count;
  graph_.scalar_slot_count = head.scalar_slot_count;
  return true;
}

}  // namespace troupe::platform::isolation

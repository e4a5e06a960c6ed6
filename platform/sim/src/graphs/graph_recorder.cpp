#include "graphs/graph_recorder.hpp"

#include <array>
#include <utility>

#include "troupe/platform/errc.hpp"
#include "troupe/runtime/access.hpp"

namespace troupe::platform::sim {

namespace {

/// The bytes of a task's tensor: where its first element lies in its memory, and how far its last reaches.
struct Bytes {
  std::uint64_t first = 0, count = 0;
};
Bytes bytes_of(const TaskRecord& task, std::uint32_t tensor) noexcept {
  const auto& described = task.tensors[tensor];
  const std::uint64_t size = size_of_element(described.dtype);
  return {start_of(task.buffers[tensor]) + described.start_offset * size, described.extent * size};
}

runtime::Box box_of(const TaskRecord& task, std::uint32_t tensor) {
  const auto& described = task.tensors[tensor];
  const std::uint64_t size = size_of_element(described.dtype);
  std::array<std::uint64_t, runtime::limits::max_dims> strides{};
  for (std::uint32_t dim = 0; dim < described.ndims; ++dim) strides[dim] = described.strides[dim] * size;
  return runtime::make_box(bytes_of(task, tensor).first, {described.shapes, described.ndims},
                           {strides.data(), described.ndims}, size);
}
runtime::Box box_of(const runtime::Tensor& slot) {
  auto box = runtime::make_box(slot);
  box.lo += start_of(slot.buffer());
  box.hi += start_of(slot.buffer());
  return box;
}

}  // namespace

GraphRecorder::GraphRecorder(std::string title, GraphSlots slots)
    : title_(std::move(title)),
      slots_(std::move(slots)),
      maker_(static_cast<std::uint32_t>(slots_.tensors().size())) {}

Error GraphRecorder::refuse(const std::string& what, const std::string& hint) const {
  const std::string where = last_.empty() ? ", at its begin, " : ", behind " + last_ + ", ";
  return {runtime::Errc::invalid_args, title_ + where + what, hint};
}

std::string GraphRecorder::title_of(const TaskRecord& task) const {
  const std::string number = "task " + std::to_string(maker_.size());
  return task.is_store ? number + ", which writes an element" : number + ", '" + task.entry->name + "'";
}

void GraphRecorder::add_memory(const runtime::BufferRef& buffer, std::uint64_t bytes) {
  made_[{buffer.arena, buffer.offset}] = workspace_;
  workspace_ += round_up(bytes, runtime::limits::block_alignment);
}

std::uint16_t GraphRecorder::number_of(KernelEntry& entry) {
  const auto [known, is_new] =
      kernel_numbers_.try_emplace(&entry, static_cast<std::uint16_t>(kernels_.size() + 1));
  if (is_new) kernels_.push_back({entry.name, &entry, entry.callable});
  return known->second;
}

/// Which part of which slot, or of what the graph makes itself, a tensor is.
Result<GraphRecorder::Place> GraphRecorder::place_of(const TaskRecord& task, std::uint32_t tensor) const {
  const auto& buffer = task.buffers[tensor];
  const auto [first, count] = bytes_of(task, tensor);
  const auto workspace = static_cast<std::uint32_t>(slots_.tensors().size());
  if (task.tensors[tensor].extent == 0) return Place{workspace, 0};  // touches nothing
  if (const auto made = made_.find({buffer.arena, buffer.offset}); made != made_.end())
    return Place{workspace, made->second + first};
  const bool writes = runtime::writes(task.tags[tensor]);
  const auto box = box_of(task, tensor);
  bool is_read = false;
  std::vector<Place> likely;  // as far as their layouts can be compared
  for (std::uint32_t slot = 0; slot < slots_.tensors().size(); ++slot) {
    const auto& [whole, tag] = slots_.tensors()[slot];
    const std::uint64_t begin = first_byte_of(whole);
    if (memory_of(whole.buffer()) != memory_of(buffer) || first < begin ||
        first + count > begin + whole.byte_extent())
      continue;
    const auto all = box_of(whole);
    if (!runtime::overlaps(all, box)) continue;  // it lies between the slot's elements
    if (writes && !runtime::writes(tag)) {
      is_read = true;
    } else if (runtime::covers(all, box)) {
      return Place{slot, first - begin};
    } else {
      likely.push_back({slot, first - begin});
    }
  }
  if (likely.size() == 1) return likely.front();
  const std::string which = "tensor argument " + std::to_string(tensor) + " of its " + title_of(task) + ", ";
  if (is_read) {
    return Error(runtime::Errc::invalid_args, title_ + ": " + which + "is written, and was given to it as in",
                 "give it to the graph as out or inout");
  }
  return Error(runtime::Errc::invalid_args,
               title_ + ": " + which +
                   (likely.empty() ? "is neither a part of what was given to it nor made in it"
                                   : "may be a part of several tensors that were given to it"),
               "a replay has other memory: give every tensor that its tasks use to the graph");
}

void GraphRecorder::add_scalars(const TaskRecord& task) {
  const auto* slots = std::exchange(scalar_slots_, nullptr);
  for (std::uint32_t i = 0; i < task.scalar_count; ++i) {
    const bool is_slot = slots != nullptr && slots[i] != 0 && slots[i] <= slots_.scalars();
    if (is_slot) {
      maker_.add_scalar_slot(slots[i] - 1U);
    } else {
      maker_.add_scalar(task.scalars[i], task.scalar_kinds[i] & ~ChipGraph::slot_kind);
    }
  }
}

Result<void> GraphRecorder::add(const TaskRecord& task, std::span<const runtime::Access> accesses,
                                std::span<const std::uint64_t> after) {
  const std::string title = title_of(task);
  producers_.clear();
  for (const std::uint64_t number : after) {
    const auto known = numbers_.find(number);
    if (known == numbers_.end()) {
      return Error(runtime::Errc::invalid_args,
                   title_ + ": its " + title + ", comes after a task outside of it",
                   "give the graph a tensor of that task, which orders all of it");
    }
    producers_.push_back(known->second);
  }
  for (std::uint32_t i = 0; i < task.tensor_count; ++i) {
    if ((task.allocated >> i & 1U) != 0) add_memory(task.buffers[i], task.tensors[i].size);
  }
  std::array<std::uint16_t, 3> lanes{};
  for (std::size_t lane = 0; lane < lanes.size(); ++lane) {
    if (task.lanes[lane] != nullptr) lanes[lane] = number_of(*task.lanes[lane]);
  }
  const auto flags =
      (task.sync_start ? ChipGraph::sync_start : 0) | (task.is_store ? ChipGraph::is_store : 0);
  const std::uint32_t views = task.tensor_count + task.extra_tensors;
  std::vector<Place> places;
  for (std::uint32_t i = 0; i < views; ++i) {
    auto place = place_of(task, i);
    if (!place) return place.error();
    places.push_back(*place);
  }
  maker_.begin({.lanes = lanes, .blocks = task.blocks, .flags = static_cast<std::uint8_t>(flags)});
  for (std::uint32_t i = 0; i < views; ++i) {
    maker_.add_view(places[i].slot, places[i].offset, task.tensors[i], task.tags[i]);
    if (i < task.tensor_count && task.has_fills && task.fills[i].wanted)
      maker_.add_fill(task.fills[i].element);
  }
  if (task.has_predicate) maker_.set_predicate(task.predicate);
  add_scalars(task);
  const std::uint32_t step = maker_.size() - 1;
  for (const auto& access : accesses) {
    if (access.tag == runtime::Tag::no_dep) continue;
    runtime::Box box;
    box.lo = access.lo;
    box.hi = access.hi;
    if (access.box != nullptr) box = *access.box;
    box.lo += start_of(access.buffer);
    box.hi += start_of(access.buffer);
    const auto [kind, number] = memory_of(access.buffer);
    edges_.add(step, {kind, number}, box, runtime::reads(access.tag), runtime::writes(access.tag),
               producers_);
  }
  for (const std::uint32_t producer : producers_) maker_.add_producer(producer);
  last_ = title;
  return {};
}

Result<void> GraphRecorder::add_edge(std::uint64_t before, std::uint64_t after) {
  const auto first = numbers_.find(before), second = numbers_.find(after);
  if (first == numbers_.end() || second == numbers_.end())
    return refuse("gets an edge from or to a task outside of it", "give the graph a tensor of that task");
  if (first->second >= second->second)
    return refuse("gets an edge from a later task to an earlier one", "submit the earlier one first");
  if (second->second + 1 != maker_.size())
    return refuse("gets an edge to a task that others follow", "add edges directly behind their later task");
  maker_.add_producer(first->second);
  return {};
}

}  // namespace troupe::platform::sim

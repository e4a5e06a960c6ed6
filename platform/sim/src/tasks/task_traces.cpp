// Trace events and tensor dumps, for runs that ask for them.

#include "tasks/task_traces.hpp"

#include <algorithm>
#include <cstring>

#include <utility>
#include "memory/memory.hpp"
#include "tasks/described_task.hpp"

#include "troupe/runtime/dtype.hpp"

namespace troupe::platform::sim {

void TaskTraces::begin(const Run& run) noexcept {
  traces_ = run.wants(TROUPE_RUN_PROFILE) && host_.traces();
  dumps_ = run.wants(TROUPE_RUN_DUMP) && host_.dumps();
  correlation_ = run.correlation;
  last_number_ = 0;
}

void TaskTraces::number(TaskRecord& task, std::uint32_t depth) {
  task.number = ++last_number_;
  task.submitted_ns = host_.now();
  task.depth = depth;
}

troupe_trace_event TaskTraces::event_of(const Piece& piece, const CoreSlot& slot, std::uint64_t begin,
                                        std::uint64_t end) {
  const TaskRecord& task = *piece.task;
  troupe_trace_event event{};
  event.name = task.kernel_on(piece.lane).code.name;
  event.task = task.number;
  event.submitted_ns = task.submitted_ns;
  event.dispatched_ns = task.dispatched_ns;
  event.begin_ns = begin;
  event.end_ns = end;
  event.core = piece.core();
  event.core_kind = piece.lane == TROUPE_CHIP_AIC ? TROUPE_CORE_AIC : TROUPE_CORE_AIV;
  event.waited_ns = slot.waited_ns;
  event.block = piece.block;
  event.block_count = task.blocks;
  event.ring = task.depth;
  return event;
}

// The graph keeps its edges to itself; a trace is worth finding them again.
void TaskTraces::submitted(const TaskRecord& task, std::span<const runtime::Access> accesses,
                           std::span<const std::uint64_t> after) {
  const std::uint64_t number = task.number;
  numbers_[to_number(task.id)] = number;
  auto& producers = producers_[number];
  for (const std::uint64_t before : after) {
    if (auto known = numbers_.find(before); known != numbers_.end()) producers.push_back(known->second);
  }
  for (const auto& access : accesses) {
    if (access.tag == runtime::Tag::no_dep) continue;
    runtime::Box box;
    box.lo = access.lo;
    box.hi = access.hi;
    if (access.box != nullptr) box = *access.box;
    auto& touches = touches_[{access.buffer.arena, access.buffer.offset}];
    const bool writes = runtime::writes(access.tag);
    std::erase_if(touches, [&](const Touch& touch) {
      if (touch.number == number || !(writes || runtime::writes(touch.access.tag))) return false;
      if (!runtime::overlaps(touch.box, box)) return false;
      producers.push_back(touch.number);
      return writes && runtime::covers(box, touch.box);
    });
    touches.push_back({.access = access, .box = box, .number = number});
  }
  std::sort(producers.begin(), producers.end());
  producers.erase(std::unique(producers.begin(), producers.end()), producers.end());
}

void TaskTraces::time(std::int32_t slot, std::uint64_t begin, std::uint64_t end) noexcept {
  if (slot < 0 || static_cast<std::size_t>(slot) >= timing_slots) return;
  Time& time = times_[static_cast<std::size_t>(slot)];
  time.begin = time.kernels == 0 ? begin : std::min(time.begin, begin);
  time.end = std::max(time.end, end);
  ++time.kernels;
}

void TaskTraces::tell_times(const std::string& program) {
  for (std::size_t slot = 0; slot < timing_slots; ++slot) {
    const Time time = std::exchange(times_[slot], {});
    if (time.kernels == 0) continue;
    host_.log(TROUPE_LOG_INFO, 0,
              program + ": timing slot " + std::to_string(slot) + ": " +
                  std::to_string(time.end - time.begin) +
                  " ns from the begin of the first to the end of the last of " +
                  std::to_string(time.kernels) + " kernel calls");
  }
}

void TaskTraces::deliver() {
  std::vector<troupe_trace_event> events;
  std::map<std::uint64_t, std::vector<std::uint64_t>> producers;
  events.swap(events_);
  producers.swap(producers_);
  touches_.clear();
  numbers_.clear();
  std::map<std::uint64_t, std::uint64_t> ends;
  for (const auto& event : events) ends[event.task] = std::max(ends[event.task], event.end_ns);
  for (auto& event : events) {
    event.correlation = correlation_;
    auto known = producers.find(event.task);
    if (known == producers.end()) continue;
    event.ready_ns = event.submitted_ns;
    for (const std::uint64_t producer : known->second)
      event.ready_ns = std::max(event.ready_ns, ends[producer]);
    if (event.block != 0) continue;
    event.producers = known->second.data();
    event.producer_count = static_cast<std::uint32_t>(known->second.size());
  }
  if (!events.empty()) host_.trace(events.data(), events.size());
}

void TaskTraces::dump(const TaskRecord& task, bool after) const {
  std::vector<std::byte> dense;
  for (std::uint32_t i = 0; i < task.tensor_count; ++i) {
    const auto tag = task.tags[i];
    const bool wanted =
        after ? runtime::writes(tag) : tag != runtime::Tag::out && tag != runtime::Tag::out_existing;
    const auto& tensor = task.tensors[i];
    if (!wanted || tensor.extent == 0 || (task.dumped >> i & 1U) == 0) continue;
    const std::size_t size = size_of_element(tensor.dtype);
    const auto* first = pointer<const std::byte>(tensor.address) + tensor.start_offset * size;
    std::uint64_t elements = 1;
    for (std::uint32_t d = 0; d < tensor.ndims; ++d) elements *= tensor.shapes[d];
    dense.resize(elements * size);
    for (std::uint64_t k = 0; k < elements; ++k) {
      std::uint64_t rest = k, offset = 0;
      for (std::uint32_t d = tensor.ndims; d-- > 0;) {
        offset += rest % tensor.shapes[d] * tensor.strides[d];
        rest /= tensor.shapes[d];
      }
      std::memcpy(dense.data() + k * size, first + offset * size, size);
    }
    auto record = dump_of(task, i, after);
    record.tag = static_cast<std::uint32_t>(tag);
    record.dtype = tensor.dtype;
    record.ndims = tensor.ndims;
    std::memcpy(record.shape, tensor.shapes, sizeof record.shape);
    record.data = dense.data();
    record.bytes = dense.size();
    host_.dump(record);
  }
  if (!after && task.dumps_scalars) dump_scalars(task);
}

troupe_dump_record TaskTraces::dump_of(const TaskRecord& task, std::uint32_t argument, bool after) const {
  troupe_dump_record record{};
  record.correlation = correlation_;
  record.task = task.number;
  record.name = task.entry->code.name;
  record.argument = argument;
  record.after = after ? 1 : 0;
  return record;
}

// Each is as a tensor of one element, numbered behind the tensors.
void TaskTraces::dump_scalars(const TaskRecord& task) const {
  for (std::uint32_t i = 0; i < task.scalar_count; ++i) {
    const std::uint32_t argument = task.tensor_count + i;
    const std::uint32_t size = size_of_element(task.scalar_dtypes[i]);
    if ((task.dumped >> argument & 1U) == 0 || size == 0) continue;
    auto record = dump_of(task, argument, false);
    record.tag = static_cast<std::uint32_t>(runtime::Tag::in);
    record.dtype = task.scalar_dtypes[i];
    record.ndims = 1;
    record.shape[0] = 1;
    record.data = &task.scalars[i];
    record.bytes = size;
    host_.dump(record);
  }
}

}  // namespace troupe::platform::sim

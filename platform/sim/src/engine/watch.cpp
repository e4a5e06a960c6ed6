// Trace events and tensor dumps, for runs that ask for them.

#include <algorithm>
#include <cstring>
#include <vector>

#include "memory/memory.hpp"
#include "engine/engine.hpp"
#include "engine/engine_jobs.hpp"
#include "troupe/runtime/dtype.hpp"

namespace troupe::platform::sim {

void ChipEngine::trace(const TaskRecord& task, const Piece& piece, std::uint64_t begin, std::uint64_t end,
                       bool failed) {
  if (!profile_) return;
  troupe_trace_event event{};
  event.name = task.kernel_on(piece.lane).code.name;
  event.task = task.number;
  event.submitted_ns = task.submitted_ns;
  event.dispatched_ns = task.dispatched_ns;
  event.begin_ns = begin;
  event.end_ns = end;
  const bool on_aic = piece.lane == TROUPE_CHIP_AIC;
  event.core = on_aic ? CoreBoard::aic(piece.cluster) : CoreBoard::aiv(piece.cluster * 2 + (piece.lane - 1));
  event.core_kind = on_aic ? TROUPE_CORE_AIC : TROUPE_CORE_AIV;
  event.waited_ns = parts_.board.core(event.core).waited_ns;
  event.block = piece.block;
  event.block_count = task.blocks;
  event.ring = task.depth;
  event.code = failed ? TROUPE_DEVICE_KERNEL_FAILED : 0;
  const std::lock_guard lock(baton_);
  trace_.push_back(event);
}

// The graph keeps its edges to itself; a trace is worth finding them again.
void ChipEngine::note_producers(std::uint64_t number, std::span<const std::uint64_t> after) {
  auto& producers = producers_[number];
  for (const std::uint64_t task : after) {
    if (auto known = numbers_.find(task); known != numbers_.end()) producers.push_back(known->second);
  }
  for (const auto& access : accesses_) {
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
    touches.push_back({access, box, number});
  }
  std::sort(producers.begin(), producers.end());
  producers.erase(std::unique(producers.begin(), producers.end()), producers.end());
}

void ChipEngine::deliver_trace(std::uint64_t correlation) {
  std::vector<troupe_trace_event> events;
  std::map<std::uint64_t, std::vector<std::uint64_t>> producers;
  {
    const std::lock_guard lock(baton_);
    events.swap(trace_);
    producers.swap(producers_);
    touches_.clear();
    numbers_.clear();
  }
  std::map<std::uint64_t, std::uint64_t> ends;
  for (const auto& event : events) ends[event.task] = std::max(ends[event.task], event.end_ns);
  for (auto& event : events) {
    event.correlation = correlation;
    auto known = producers.find(event.task);
    if (known == producers.end()) continue;
    event.ready_ns = event.submitted_ns;
    for (const std::uint64_t producer : known->second)
      event.ready_ns = std::max(event.ready_ns, ends[producer]);
    if (event.block != 0) continue;
    event.producers = known->second.data();
    event.producer_count = static_cast<std::uint32_t>(known->second.size());
  }
  if (!events.empty()) parts_.host.trace(events.data(), events.size());
}

void ChipEngine::dump(const TaskRecord& task, bool after) {
  std::vector<std::byte> dense;
  for (std::uint32_t i = 0; i < task.tensor_count; ++i) {
    const auto tag = task.tags[i];
    const bool wanted =
        after ? runtime::writes(tag) : tag != runtime::Tag::out && tag != runtime::Tag::out_existing;
    const auto& tensor = task.tensors[i];
    if (!wanted || tensor.extent == 0) continue;
    const std::size_t size = runtime::size_of(static_cast<runtime::DType>(tensor.dtype));
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
    troupe_dump_record record{};
    record.correlation = kernels_->run().correlation;
    record.task = task.number;
    record.name = task.entry->code.name;
    record.argument = i;
    record.after = after ? 1 : 0;
    record.tag = static_cast<std::uint32_t>(tag);
    record.dtype = tensor.dtype;
    record.ndims = tensor.ndims;
    std::memcpy(record.shape, tensor.shapes, sizeof record.shape);
    record.data = dense.data();
    record.bytes = dense.size();
    parts_.host.dump(record);
  }
}

}  // namespace troupe::platform::sim

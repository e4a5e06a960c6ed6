// What a chip program waits for, and when nothing can come any more.

#include <string>

#include "engine/engine.hpp"
#include "engine/engine_jobs.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/dtype.hpp"

namespace troupe::platform::sim {

using runtime::Tag;
using runtime::Tensor;

namespace {

runtime::Access element_access(const Tensor& tensor, std::uint64_t element, Tag tag) noexcept {
  const std::uint64_t size = tensor.element_bytes();
  const std::uint64_t lo = tensor.byte_offset() + element * size;
  return runtime::Access::range(tensor.buffer(), tensor.buffer_bytes(), lo, lo + size, tag);
}

/// Whether a task that has not ended touches these bytes in a way that has to come first.
bool touches(const TaskRecord& task, const runtime::Access& wanted) noexcept {
  const bool symbolic = wanted.buffer.arena != 0;
  const std::uint64_t base = symbolic ? 0 : wanted.buffer.offset;
  for (std::uint32_t i = 0; i < task.tensor_count + task.extra_tensors; ++i) {
    const Tag tag = task.tags[i];
    if (tag == Tag::no_dep || !(runtime::writes(tag) || runtime::writes(wanted.tag))) continue;
    const auto& buffer = task.buffers[i];
    if (symbolic ? buffer != wanted.buffer : buffer.arena != 0) continue;
    const auto& tensor = task.tensors[i];
    const std::uint64_t size = runtime::size_of(static_cast<runtime::DType>(tensor.dtype));
    const std::uint64_t lo = (symbolic ? 0 : buffer.offset) + tensor.start_offset * size;
    if (lo < base + wanted.hi && base + wanted.lo < lo + tensor.extent * size) return true;
  }
  return false;
}

bool is_fatal_code(const Error& error) noexcept {
  return error.code().value <= static_cast<std::int32_t>(runtime::Errc::explicit_orch_fatal);
}

}  // namespace

bool ChipEngine::wait_for_room(Lock& lock) {
  waits_ = Waits::room;
  stuck_ = false;
  serve(lock, Role::waiting, [this] { return fatal() != 0 || stuck_ || graph_->has_room(); });
  waits_ = Waits::nothing;
  if (fatal() != 0) return false;
  if (graph_->has_room()) return true;
  latch(stuck_for_room());
  return false;
}

// The graph knows what its tasks touch, unless their edges were given by hand.
Result<bool> ChipEngine::settled(const Tensor& tensor, std::uint64_t element, Tag tag) const {
  const auto access = element_access(tensor, element, tag);
  if (runtime_ == TROUPE_CHIP_RUNTIME_TENSORMAP) return graph_->settled(access);
  for (const TaskRecord* task = live_; task != nullptr; task = task->older) {
    if (touches(*task, access)) return false;
  }
  return true;
}

bool ChipEngine::wait_settled(const Tensor& tensor, std::uint64_t element, Tag tag, Lock& lock) {
  if (runtime_ == TROUPE_CHIP_RUNTIME_CHIP_GRAPH) release_held();
  auto now = settled(tensor, element, tag);
  if (now && !*now) {
    waits_ = Waits::element;
    stuck_ = false;
    serve(lock, Role::waiting, [&] {
      now = settled(tensor, element, tag);
      return fatal() != 0 || stuck_ || !now || *now;
    });
    waits_ = Waits::nothing;
  }
  if (fatal() != 0) return false;
  if (now && *now) return true;
  latch(now ? stuck_for_element() : now.error());
  return false;
}

std::string ChipEngine::stuck_flags() const {
  const std::string flags = kernels_->flags().describe();
  return flags.empty() ? "" : "; what runs waits for: " + flags;
}

Error ChipEngine::stuck_for_room() const {
  const auto status = graph_->status();
  const std::string tasks = std::to_string(status.live) + " tasks are alive";
  if (limits_.dependency_pool != 0 && status.live < task_window_) {
    return Error(runtime::Errc::dep_pool_overflow,
                 "more dependencies than the pool holds, and none will end: " + tasks + stuck_flags(),
                 "raise PTO2_RING_DEP_POOL");
  }
  if (!held_.empty()) {
    return Error(runtime::Errc::scope_deadlock,
                 "the graph does not fit the task window: " + tasks + " and none may start yet",
                 "raise PTO2_RING_TASK_WINDOW, or build the graph while it runs");
  }
  if (auto reason = graph_->deadlock(); reason && is_fatal_code(*reason)) return *std::move(reason);
  return Error(runtime::Errc::flow_control_deadlock,
               "the task window is full and nothing in it can end: " + tasks + stuck_flags(),
               "raise PTO2_RING_TASK_WINDOW");
}

Error ChipEngine::stuck_for_element() const {
  if (auto reason = graph_->deadlock(); reason && *reason == runtime::Errc::heap_ring_deadlock)
    return *std::move(reason);
  return Error(runtime::Errc::tensor_wait_timeout,
               "an element is asked for whose tasks cannot end" + stuck_flags(),
               held_.empty() ? "submit what they wait for before"
                             : "a graph that is built before launch has no values yet");
}

// Nothing here can be taken up. If nothing that runs can change that, nothing ever will.
void ChipEngine::look_for_deadlock() {
  if (!active_ || stuck_ || (program_runs_ && waits_ == Waits::nothing && !helping_)) return;
  if (executing_ != kernels_->flags().closed()) return;
  // On a host that gives no threads, work may be ready and nobody left to do it.
  if (can_take(true) && (looking_ != 0 || !helpless_)) return;
  if (executing_ != 0) {
    if (waits_ == Waits::room) latch(stuck_for_room());
    if (waits_ == Waits::element) latch(stuck_for_element());
    return kernels_->end_waits(program_runs_ && helping_);
  }
  if (waits_ != Waits::nothing) {
    stuck_ = true;
    return signal();
  }
  const auto status = graph_->status();
  if (status.live == 0) return;
  const auto reason = graph_->deadlock();
  if (reason && is_fatal_code(*reason)) return latch(*reason);
  latch(Error(runtime::Errc::scheduler_timeout,
              reason ? reason->message() : std::to_string(status.live) + " tasks wait for what cannot come",
              reason ? reason->hint() : ""));
}

}  // namespace troupe::platform::sim

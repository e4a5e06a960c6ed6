#include "engine/kernel_runner.hpp"

#include <cstring>
#include <mutex>
#include <utility>
#include <vector>

#include "memory/memory.hpp"
#include "troupe/runtime/compare.hpp"
#include "troupe/runtime/dtype.hpp"

namespace troupe::platform::sim {

namespace {

void fill(const runtime::TensorDescriptor& tensor, std::uint64_t element) noexcept {
  const std::size_t size = size_of_element(tensor.dtype);
  auto* first = pointer<std::byte>(tensor.address) + tensor.start_offset * size;
  // A new tensor is all of its buffer, which may have been rounded up.
  const std::uint64_t count = tensor.start_offset == 0 && size != 0 ? tensor.size / size : tensor.extent;
  for (std::uint64_t i = 0; i < count; ++i) std::memcpy(first + i * size, &element, size);
}

// An integer element, signed.
std::int64_t integer_at(const runtime::TensorDescriptor& tensor, std::uint64_t element) noexcept {
  const auto dtype = static_cast<runtime::DType>(tensor.dtype);
  const std::size_t size = runtime::size_of(dtype);
  std::uint64_t bits = 0;
  std::memcpy(&bits, pointer<std::byte>(tensor.address) + (tensor.start_offset + element) * size, size);
  switch (dtype) {
    case runtime::DType::i32:
      return static_cast<std::int32_t>(bits);
    case runtime::DType::i16:
      return static_cast<std::int16_t>(bits);
    case runtime::DType::i8:
      return static_cast<std::int8_t>(bits);
    default:
      return static_cast<std::int64_t>(bits);
  }
}

}  // namespace

void KernelRunner::prepare(TaskRecord& task) {
  if (task.has_predicate) {
    const auto& flag = task.tensors[task.tensor_count];
    task.skipped = !runtime::compares(integer_at(flag, task.predicate.element),
                                      runtime::Compare{task.predicate.compare}, task.predicate.value);
  }
  if (!task.has_fills) return;
  for (std::uint32_t i = 0; i < task.tensor_count; ++i) {
    if (task.fills[i].wanted) fill(task.tensors[i], task.fills[i].element);
  }
}

void KernelRunner::note(const Piece& piece, const CoreSlot& core, std::uint64_t begin, bool failed) {
  if (piece.task->timing_slot >= 0) {
    const std::uint64_t end = traces_.now();
    const std::lock_guard lock(baton_);
    traces_.time(piece.task->timing_slot, begin, end);
  }
  if (traces_.traces()) {
    auto event = TaskTraces::event_of(piece, core, begin, traces_.now());
    event.code = failed ? TROUPE_DEVICE_KERNEL_FAILED : 0;
    const std::lock_guard lock(baton_);
    traces_.add(event);
  }
  if (traces_.dumps() && piece.block == 0) traces_.dump(*piece.task, true);
}

void KernelRunner::call(const Piece& piece, CoreSlot& core, ArgumentWords& words) {
  TaskRecord& task = *piece.task;
  // Nothing starts after the end of a run was decided; a kernel that saw the abort may have ended before the
  // schedule heard of it.
  if (task.skipped || schedule_.failure_code() != 0 ||
      kernels_->run().aborted.load(std::memory_order_relaxed))
    return;
  if (task.is_store) {
    const auto& tensor = task.tensors[0];
    const std::size_t size = runtime::size_of(static_cast<runtime::DType>(tensor.dtype));
    std::memcpy(pointer<std::byte>(tensor.address) + (tensor.start_offset + task.scalars[1]) * size,
                &task.scalars[0], size);
    return;
  }
  std::uint32_t next = 0;
  for (std::uint32_t i = 0; i < task.tensor_count; ++i) {
    words.words[next++] = reinterpret_cast<std::int64_t>(&task.tensors[i]);
  }
  for (std::uint32_t i = 0; i < task.scalar_count; ++i) {
    words.words[next++] = static_cast<std::int64_t>(task.scalars[i]);
  }
  for (std::uint32_t i = next; i < words.used; ++i) words.words[i] = 0;
  words.used = next;
  std::vector<FlagCondition> deferred;
  const KernelCode& code = task.kernel_on(piece.lane).code;
  const bool is_foreign = code.foreign != nullptr;
  // All members at once: to clear them before is seen in what a task costs.
  const KernelCall arguments{
      .code = code,
      .words = words.words,
      .tensors = task.tensor_count,
      .scalars = task.scalar_count,
      .scalar_kinds = task.scalar_kinds,
      .block = piece.block,
      .blocks = task.blocks,
      .sub_block = task.lane_count > 1 && piece.lane == TROUPE_CHIP_AIV1 ? 1u : 0u,
      .core = piece.core(),
      .cluster = piece.cluster,
      .task = is_foreign ? to_number(task.id) : 0,
      .name = task.replay != nullptr ? task.replay->own_name_of(task.step) : nullptr,
      .deferred = is_foreign ? &deferred : nullptr,
  };
  const bool watched = traces_.any() || task.timing_slot >= 0;
  if (watched && traces_.dumps() && piece.block == 0) traces_.dump(task, false);
  const std::uint64_t begin = watched ? traces_.now() : 0;
  const std::uint64_t entered = words.measures ? ticks() : 0;
  auto failure = call_kernel(*kernels_, core, pipes_, arguments);
  if (words.measures) words.taken = ticks() - entered;
  if (watched) note(piece, core, begin, failure.has_value());
  if (!failure && deferred.empty()) [[likely]]
    return;
  const std::lock_guard lock(baton_);
  if (!failure) {  // those of all its blocks together
    if (task.deferred == nullptr) task.deferred = std::make_unique<std::vector<FlagCondition>>();
    task.deferred->insert(task.deferred->end(), deferred.begin(), deferred.end());
    return;
  }
  if (task.failure == nullptr) task.failure = std::make_unique<Error>(*std::move(failure));
}

void KernelRunner::run(Batch& batch, ArgumentWords& words) {
  CoreSlot& core = board_.core(Piece::core_number(batch.cluster, batch.lane));
  core.batch = &batch;
  const std::uint64_t begin = ticks();
  // Timed is the kernel alone: what its thread waits for the task's bytes is no reason to give it to another
  // one. Of quick ones, one in a row is enough.
  const bool every = batch.kind > kinds::quick_aiv;
  words.measures = true;
  // A kernel that sleeps makes the batch smaller: it becomes the last one. Others lay on more.
  for (std::uint32_t at = batch.at.load(std::memory_order_relaxed);;
       batch.at.store(++at, std::memory_order_release)) {
    const std::uint32_t count = batch.count.load(std::memory_order_acquire);
    if (at == count) break;
    if (batch.is_tray && at + 1 != count) batch.task(at + 1)->prefetch();
    TaskRecord& task = *batch.task(at);
    if (task.replay != nullptr) {
      if (!task.replay->keeps_all) task.replay->expand(task);
      if (task.is_follower && batch.task(at - 1)->failure != nullptr) [[unlikely]]
        break;
    }
    core.enter(task.entry->code.name, 0, begin);
    if ((task.has_fills || task.has_predicate) && !task.skipped) prepare(task);
    words.taken = 0;
    call({.task = &task, .lane = batch.lane, .cluster = batch.cluster}, core, words);
    if (core.has_waited) [[unlikely]] {
      core.has_waited = false;  // sleeping is not what a kernel takes
      task.entry->waits.store(true, std::memory_order_relaxed);
    } else if (words.taken != 0) {
      Pace::learn(*task.entry, words.taken);
      words.total += words.taken;
      words.measures = every;
    }
  }
  words.measures = false;
  core.leave();
  core.batch = nullptr;
}

void KernelRunner::run(const Piece& piece, ArgumentWords& words) {
  CoreSlot& core = board_.core(piece.core());
  core.enter(piece.task->kernel_on(piece.lane).code.name, piece.block, ticks());
  call(piece, core, words);
  core.has_waited = false;
  core.leave();
}

}  // namespace troupe::platform::sim

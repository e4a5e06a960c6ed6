// What a program asks for that describes its tasks by addresses.

#include <cstring>
#include <string>

#include "engine/engine.hpp"
#include "memory/memory.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::sim {

using runtime::Tag;
using runtime::TensorDescriptor;

std::uint64_t ChipEngine::submit(const DescribedTask& task) {
  if (fatal() != 0) return 0;
  const bool only_aiv = task.lanes[0] == nullptr && (task.lanes[1] == nullptr || task.lanes[2] == nullptr);
  if (task.sync_start && task.blocks > 1 && !check_together(task.blocks, only_aiv)) return 0;
  Turn turn(*this);
  if (fatal() != 0) return 0;
  TaskRecord* record = builder_.build(task, table_.dummy());
  if (record == nullptr) {
    fail_with_refusal();
    return 0;
  }
  const bool has_kernel = task.lanes[0] != nullptr || task.lanes[1] != nullptr || task.lanes[2] != nullptr;
  record->kind = has_kernel ? pace_.kind_of(*record) : kinds::node;
  // The record may be gone by the time that its tensors have memory.
  runtime::BufferRef made[runtime::limits::core_tensors];
  std::size_t count = 0;
  for (std::size_t i = 0; i < task.tensors.size(); ++i) {
    if (task.tensors[i].is_new) {
      made[count] = record->buffers[i];
      *task.outputs[count++] = record->tensors[i];
    }
  }
  const std::uint64_t number = submit_record(record, task.after, turn.lock());
  if (number == 0) return 0;
  for (std::size_t i = 0; i < count; ++i) {
    task.outputs[i]->owner_task = number;
    if (made[i].allocated() && !locate(made[i], *task.outputs[i], turn.lock())) return 0;
  }
  if (has_kernel) return number;
  for (std::size_t i = 0, at = 0; i < task.tensors.size(); ++i) {
    if (!task.tensors[i].is_new) continue;
    const TensorDescriptor& output = *task.outputs[at++];
    if (task.tensors[i].is_filled && output.address != 0) fill(output, task.tensors[i].initial);
  }
  return number;
}

std::uint32_t ChipEngine::waits_for(std::uint64_t task) const {
  const Lock lock(baton_);
  const std::uint32_t waits = schedule_.graph().waits_for(to_task(task));
  return waits == 0 ? 0 : waits - 1;  // without the launch
}

bool ChipEngine::alloc(const DescribedTensor& wanted, std::uint64_t owner, TensorDescriptor& output) {
  if (fatal() != 0) return false;
  Turn turn(*this);
  output = *wanted.tensor;
  output.address = 0;
  output.owner_task = owner;
  if (!complete(output)) {
    schedule_.fail(Error(runtime::Errc::invalid_args, "a tensor to be allocated is described as none"));
    return false;
  }
  if (output.size == 0) return true;
  auto buffer = intermediates_.make(output.size);
  if (!buffer) {
    schedule_.fail(buffer.error());
    return false;
  }
  // A task without work, so that its memory is asked for in its turn.
  const auto access = runtime::Access::whole(*buffer, output.size, Tag::no_dep);
  runtime::TaskSpec spec;
  spec.name = "alloc";
  spec.kind = kinds::node;
  spec.node_only = true;
  spec.accesses = {&access, 1};
  if (!waits_.for_room(turn.lock())) return false;
  if (auto asked = schedule_.graph().submit(spec); !asked) {
    schedule_.fail(asked.error());
    return false;
  }
  schedule_.expect_ended();
  schedule_.drain_ended();
  if (!locate(*buffer, output, turn.lock())) return false;
  if (wanted.is_filled) fill(output, wanted.initial);
  return true;
}

bool ChipEngine::locate(const runtime::BufferRef& buffer, TensorDescriptor& tensor, Lock& lock) {
  if (!waits_.for_memory(buffer, lock)) return false;
  std::optional<Error> refusal;
  tensor.address = intermediates_.locate(buffer, refusal);
  if (refusal) schedule_.fail(*refusal);
  return !refusal;
}

// The whole of it, with the room that it was rounded up to.
void ChipEngine::fill(const TensorDescriptor& tensor, std::uint64_t element) noexcept {
  const std::size_t size = size_of_element(tensor.dtype);
  auto* first = pointer<std::byte>(tensor.address);
  for (std::uint64_t at = 0; at + size <= tensor.size; at += size) std::memcpy(first + at, &element, size);
}

runtime::Access ChipEngine::access_of(const TensorDescriptor& tensor, std::uint64_t element, Tag tag) const {
  const std::size_t size = size_of_element(tensor.dtype);
  const std::uint64_t at = tensor.address + (tensor.start_offset + element) * size;
  if (const auto inside = intermediates_.at(at)) {
    const std::uint64_t lo = at - inside->address;
    return runtime::Access::range(inside->buffer, inside->bytes, lo, lo + size, tag);
  }
  return runtime::Access::range({0, 0, at}, size, 0, size, tag);
}

std::uint64_t ChipEngine::get(const TensorDescriptor& tensor, std::uint64_t element, std::uint64_t creator) {
  if (fatal() != 0) return 0;
  Turn turn(*this);
  const auto access = access_of(tensor, element, Tag::in);
  if (!waits_.for_access(access, to_task(creator), turn.lock())) return 0;
  const std::size_t size = size_of_element(tensor.dtype);
  std::uint64_t value = 0;
  std::memcpy(&value, pointer(tensor.address + (tensor.start_offset + element) * size), size);
  return value;
}

void ChipEngine::set(const TensorDescriptor& tensor, std::uint64_t element, std::uint64_t creator,
                     std::uint64_t value) {
  if (fatal() != 0) return;
  Turn turn(*this);
  const auto access = access_of(tensor, element, Tag::inout);
  if (!waits_.for_access(access, to_task(creator), turn.lock())) return;
  const std::size_t size = size_of_element(tensor.dtype);
  store_visibly(pointer(tensor.address + (tensor.start_offset + element) * size), &value, size);
  look_again();
}

}  // namespace troupe::platform::sim

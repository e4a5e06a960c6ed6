// Single tensor elements, read and written by the chip program.

#include <cstring>

#include "memory/memory.hpp"
#include "engine/engine.hpp"
#include "engine/engine_jobs.hpp"
#include "troupe/runtime/dtype.hpp"

namespace troupe::platform::sim {

using runtime::Tag;
using runtime::Tensor;

std::uint64_t ChipEngine::address_of(const Tensor& tensor) {
  if (tensor.buffer().arena == 0) return known_address(tensor) ? tensor.buffer().offset : 0;
  const auto placed = graph_->placement(tensor.buffer());
  return placed ? address_in_arena(*placed) : 0;
}

std::uint64_t ChipEngine::get(const Tensor& tensor, std::uint64_t element) {
  if (fatal() != 0) return 0;
  Turn turn(*this);
  if (!wait_settled(tensor, element, Tag::in, turn.lock())) return 0;
  const std::uint64_t address = address_of(tensor);
  if (address == 0) {
    if (fatal() == 0) log(TROUPE_LOG_WARNING, "an element was read before anything wrote the tensor");
    return 0;
  }
  std::uint64_t value = 0;
  const std::size_t size = tensor.element_bytes();
  std::memcpy(&value, pointer(address + tensor.byte_offset() + element * size), size);
  return value;
}

void ChipEngine::set(const Tensor& tensor, std::uint64_t element, std::uint64_t value) {
  if (fatal() != 0) return;
  Turn turn(*this);
  if (tensor.buffer().arena != 0 && !graph_->placement(tensor.buffer())) {
    return store(tensor, element, value, false, turn.lock());  // its memory comes with its first task
  }
  if (!wait_settled(tensor, element, Tag::inout, turn.lock())) return;
  const std::uint64_t address = address_of(tensor);
  if (address == 0) return;
  const std::size_t size = tensor.element_bytes();
  store_visibly(pointer(address + tensor.byte_offset() + element * size), &value, size);
  kernels_->flags().look_again();  // a kernel that nothing orders may be waiting for it
}

// A task without a kernel, so that it is ordered like any other.
void ChipEngine::store(const Tensor& tensor, std::uint64_t element, std::uint64_t value, bool everywhere,
                       Lock& lock) {
  troupe_chip_task_v1 task{};
  const std::uint64_t scalars[2]{value, element};
  task.scalars = scalars;
  task.scalar_count = 2;
  task.argument_count = 1;
  task.blocks = 1;
  TaskRecord* record = make_record(task);
  record->lanes = {};
  record->lane_count = 1;
  record->entry = entries_[nullptr].get();
  record->is_store = true;
  if (!add_tensor(*record, 0, tensor, everywhere ? Tag::out : Tag::inout)) return records_.give_back(record);
  if (everywhere) {
    record->fills[0] = {true, value};
    record->has_fills = true;
  }
  choose_kind(*record);
  submit_record(record, {}, lock);
}

}  // namespace troupe::platform::sim

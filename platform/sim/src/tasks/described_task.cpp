// Tasks that come with descriptors: from those to a record and its accesses.

#include "tasks/described_task.hpp"

#include <algorithm>
#include <string>

#include "tasks/task_builder.hpp"
#include "troupe/runtime/dtype.hpp"

namespace troupe::platform::sim {

using runtime::Tag;
using runtime::TensorDescriptor;

namespace {

bool add_product(std::uint64_t& sum, std::uint64_t a, std::uint64_t b) noexcept {
  std::uint64_t product = 0;
  return !__builtin_mul_overflow(a, b, &product) && !__builtin_add_overflow(sum, product, &sum);
}

}  // namespace

std::optional<DescribedBytes> complete(TensorDescriptor& descriptor) noexcept {
  DescribedBytes bytes;
  bytes.element_bytes = size_of_element(descriptor.dtype);
  if (bytes.element_bytes == 0 || descriptor.ndims == 0 || descriptor.ndims > runtime::limits::max_dims)
    return std::nullopt;
  const bool rebuild = descriptor.is_contiguous != 0 && descriptor.start_offset == 0;
  std::uint64_t elements = 1, last = 0;
  for (std::size_t dim = descriptor.ndims; dim-- > 0;) {
    const std::uint32_t extent = descriptor.shapes[dim];
    if (rebuild) descriptor.strides[dim] = static_cast<std::uint32_t>(elements);
    bytes.is_dense = bytes.is_dense && (extent == 1 || descriptor.strides[dim] == elements);
    if (extent != 0 && !add_product(last, extent - 1, descriptor.strides[dim])) return std::nullopt;
    if (__builtin_mul_overflow(elements, std::uint64_t{extent}, &elements)) return std::nullopt;
  }
  descriptor.extent = elements == 0 ? 0 : last + 1;
  if (elements == 0) bytes.is_dense = true;
  std::uint64_t end = 0;
  if (!add_product(bytes.first, descriptor.start_offset, bytes.element_bytes)) return std::nullopt;
  end = bytes.first;
  if (!add_product(end, descriptor.extent, bytes.element_bytes)) return std::nullopt;
  if (end > ~descriptor.address) return std::nullopt;
  bytes.end = end;
  return bytes;
}

bool TaskBuilder::add_described(TaskRecord& record, std::uint32_t index, const DescribedTensor& argument) {
  auto& described = record.tensors[index];
  described = *argument.tensor;
  const auto bytes = complete(described);
  if (!bytes) {
    return refuse(Error(runtime::Errc::invalid_args, "tensor argument " + std::to_string(index) + " of '" +
                                                         record.entry->name + "' describes no tensor"));
  }
  record.tags[index] = argument.tag;
  record.fills[index].wanted = false;
  record.buffers[index] = {0, 0, described.address};
  if (described.address == 0 || described.extent == 0) return true;
  runtime::Access& access = accesses_.emplace_back();
  access.tag = argument.ordering;
  access.lo = bytes->first;
  access.hi = bytes->end;
  access.buffer = record.buffers[index];
  access.buffer_bytes = std::max(described.size, access.hi);
  if (access.buffer_bytes > ~described.address) access.buffer_bytes = access.hi;
  std::uint64_t shift = 0;
  if (const auto inside = intermediates_.at(described.address)) {
    shift = described.address - inside->address;
    if (shift == 0) record.buffers[index] = inside->buffer;
    access.buffer = inside->buffer;
    access.buffer_bytes = inside->bytes;
    access.lo += shift;
    access.hi += shift;
  }
  record.is_unordered = record.is_unordered || (access.tag == Tag::no_dep && argument.tag != Tag::no_dep);
  if (checks_.enabled() && access.tag == Tag::no_dep) checks_.leave_unordered(access.buffer);
  if (bytes->is_dense) return true;
  std::uint64_t strides[runtime::limits::max_dims];
  for (std::uint32_t dim = 0; dim < described.ndims; ++dim)
    strides[dim] = std::uint64_t{described.strides[dim]} * bytes->element_bytes;
  boxes_.push_back(runtime::make_box(access.lo, {described.shapes, described.ndims},
                                     {strides, described.ndims}, bytes->element_bytes));
  access.box = &boxes_.back();
  access.lo = boxes_.back().lo;
  access.hi = boxes_.back().hi;
  return true;
}

bool TaskBuilder::add_new(TaskRecord& record, std::uint32_t index, const DescribedTensor& argument) {
  auto& described = record.tensors[index];
  described = *argument.tensor;
  described.address = 0;
  record.tags[index] = Tag::out;
  record.fills[index].wanted = false;
  record.buffers[index] = {};
  if (!complete(described))
    return refuse(Error(runtime::Errc::invalid_args, "output " + std::to_string(index) + " of '" +
                                                         record.entry->name + "' describes no tensor"));
  if (described.size == 0) return true;
  auto buffer = intermediates_.make(described.size);
  if (!buffer) return refuse(buffer.error());
  record.buffers[index] = *buffer;
  record.allocated |= std::uint64_t{1} << index;
  record.is_symbolic = true;
  if (argument.is_filled) {
    record.fills[index] = {.wanted = true, .element = argument.initial};
    record.has_fills = true;
  }
  accesses_.push_back(runtime::Access::whole(*buffer, described.size, Tag::out));
  return true;
}

// Whatever the tensor's elements are, the one that decides is compared as a signed integer of their width.
bool TaskBuilder::add_predicate(TaskRecord& record, const DescribedTensor& tensor) {
  const std::uint32_t index = record.tensor_count;
  if (!add_described(record, index, tensor)) return false;
  auto& described = record.tensors[index];
  if (described.address == 0 || record.predicate.element >= described.extent)
    return refuse(Error(runtime::Errc::invalid_args,
                        "the predicate of '" + record.entry->name + "' names no element of its tensor"));
  const std::uint32_t size = size_of_element(described.dtype);
  const auto as = size == 1   ? runtime::DType::i8
                  : size == 2 ? runtime::DType::i16
                  : size == 4 ? runtime::DType::i32
                              : runtime::DType::i64;
  described.dtype = static_cast<std::uint8_t>(as);
  return true;
}

TaskRecord* TaskBuilder::build(const DescribedTask& task, KernelEntry& nameless) {
  troupe_chip_task_v1 sizes{};
  troupe_chip_predicate_v1 predicate{};
  sizes.size = sizeof sizes;
  sizes.flags = task.sync_start ? TROUPE_CHIP_SYNC_START : 0;
  sizes.argument_count = static_cast<std::uint32_t>(task.tensors.size());
  sizes.scalar_count = static_cast<std::uint32_t>(task.scalars.size());
  sizes.scalars = task.scalars.data();
  sizes.blocks = task.blocks;
  sizes.predicate = task.predicate != nullptr ? &predicate : nullptr;
  TaskRecord* record = blank(sizes);
  std::copy(task.lanes, task.lanes + 3, record->lanes.begin());
  record->lane_count = 0;
  record->entry = nullptr;
  for (KernelEntry* lane : task.lanes) {
    if (lane == nullptr) continue;
    ++record->lane_count;
    if (record->entry == nullptr) record->entry = lane;
  }
  if (record->entry == nullptr) record->entry = &nameless;
  record->lane_count = std::max(record->lane_count, 1U);
  record->pieces_left = record->blocks * record->lane_count;
  record->dumped = task.dumped;
  record->dumps_scalars = task.scalar_dtypes != nullptr;
  if (record->dumps_scalars)
    std::copy_n(task.scalar_dtypes, std::size(record->scalar_dtypes), std::begin(record->scalar_dtypes));
  record->timing_slot = task.timing_slot;
  bool good = true;
  for (std::uint32_t i = 0; good && i < task.tensors.size(); ++i) {
    const auto& argument = task.tensors[i];
    good = argument.is_new ? add_new(*record, i, argument) : add_described(*record, i, argument);
  }
  if (good && task.predicate != nullptr) {
    record->predicate.element = task.predicate->element;
    record->predicate.compare = task.predicate->compare;
    record->predicate.value = task.predicate->value;
    good = add_predicate(*record, task.predicate->tensor);
  }
  for (const std::uint64_t address : task.kept) {
    const auto kept = intermediates_.at(address);
    if (kept) accesses_.push_back(runtime::Access::whole(kept->buffer, kept->bytes, Tag::no_dep));
  }
  if (good) return record;
  records_.give_back(record);
  return nullptr;
}

}  // namespace troupe::platform::sim

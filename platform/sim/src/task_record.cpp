#include "task_record.hpp"

#include <new>

#include "address_range.hpp"

namespace troupe::platform::sim {

namespace {
constexpr std::size_t records_per_slab = 64;
constexpr std::size_t line = 64;

constexpr std::size_t bytes_of(std::uint32_t tensors) noexcept {
  return round_up(sizeof(TaskRecord), line) +
         round_up(tensors * (sizeof(runtime::TensorDescriptor) + sizeof(runtime::BufferRef) + sizeof(Fill) +
                             sizeof(runtime::Tag)),
                  line);
}
}  // namespace

void TaskRecords::Deleter::operator()(std::byte* slab) const noexcept {
  ::operator delete(slab, std::align_val_t(line));
}

void TaskRecords::grow(std::size_t size_class) {
  const std::uint32_t tensors = sizes[size_class];
  const std::size_t size = bytes_of(tensors);
  auto* slab = static_cast<std::byte*>(::operator new(size* records_per_slab, std::align_val_t(line)));
  slabs_.emplace_back(slab);
  for (std::size_t i = 0; i < records_per_slab; ++i) {
    std::byte* place = slab + i * size;
    auto* record = new (place) TaskRecord;
    record->capacity = static_cast<std::uint32_t>(size_class);
    std::byte* arrays = place + round_up(sizeof(TaskRecord), line);
    record->tensors = reinterpret_cast<runtime::TensorDescriptor*>(arrays);
    arrays += tensors * sizeof(runtime::TensorDescriptor);
    record->buffers = reinterpret_cast<runtime::BufferRef*>(arrays);
    arrays += tensors * sizeof(runtime::BufferRef);
    record->fills = reinterpret_cast<Fill*>(arrays);
    record->tags = reinterpret_cast<runtime::Tag*>(arrays + tensors * sizeof(Fill));
    record->next = free_[size_class];
    free_[size_class] = record;
  }
}

TaskRecord* TaskRecords::take(std::uint32_t tensors) {
  std::size_t size_class = 0;
  while (sizes[size_class] < tensors) ++size_class;
  if (free_[size_class] == nullptr) grow(size_class);
  TaskRecord* record = free_[size_class];
  free_[size_class] = record->next;
  return record;
}

void TaskRecords::give_back(TaskRecord* record) noexcept {
  if (record->failure != nullptr) record->failure.reset();
  record->next = free_[record->capacity];
  free_[record->capacity] = record;
}

}  // namespace troupe::platform::sim

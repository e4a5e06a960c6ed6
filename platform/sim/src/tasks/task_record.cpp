#include "tasks/task_record.hpp"

#include <algorithm>
#include <new>

#include "memory/memory.hpp"

namespace troupe::platform::sim {

namespace {
constexpr std::size_t records_per_slab = 64;
constexpr std::size_t line = 64;

constexpr std::size_t bytes_of(std::uint32_t tensors) noexcept {
  return round_up(sizeof(TaskRecord), line) +
         round_up(tensors * (sizeof(runtime::TensorDescriptor) + sizeof(runtime::BufferRef) + sizeof(Fill) +
                             sizeof(std::uint16_t) + sizeof(runtime::Tag)),
                  line);
}
}  // namespace

void TaskRecords::Deleter::operator()(std::byte* slab) const noexcept {
  ::operator delete(slab, std::align_val_t(line));
}

/// What a record still holds goes with it, given back or not.
TaskRecords::~TaskRecords() {
  for (auto* record : all_) record->~TaskRecord();
}

void TaskRecords::grow(std::size_t size_class) {
  const std::uint32_t tensors = sizes[size_class];
  const std::size_t size = bytes_of(tensors);
  auto* slab = static_cast<std::byte*>(::operator new(size* records_per_slab, std::align_val_t(line)));
  slabs_.emplace_back(slab);
  for (std::size_t i = 0; i < records_per_slab; ++i) {
    std::byte* place = slab + i * size;
    auto* record = new (place) TaskRecord;
    record->capacity = static_cast<std::uint8_t>(size_class);
    std::byte* arrays = place + round_up(sizeof(TaskRecord), line);
    record->tensors = reinterpret_cast<runtime::TensorDescriptor*>(arrays);
    arrays += tensors * sizeof(runtime::TensorDescriptor);
    record->buffers = reinterpret_cast<runtime::BufferRef*>(arrays);
    arrays += tensors * sizeof(runtime::BufferRef);
    record->fills = reinterpret_cast<Fill*>(arrays);
    arrays += tensors * sizeof(Fill);
    record->layouts = reinterpret_cast<std::uint16_t*>(arrays);
    record->tags = reinterpret_cast<runtime::Tag*>(arrays + tensors * sizeof(std::uint16_t));
    free_[size_class].push_back(record);
    all_.push_back(record);
  }
  // Giving back never allocates.
  free_[size_class].reserve(slabs_.size() * records_per_slab);
}

void TaskRecords::prefetch(std::uint32_t tensors) const noexcept {
  constexpr std::size_t ahead = 2;
  const auto& free = free_[class_of(tensors)];
  if (free.size() < ahead) return;
  const auto* bytes = reinterpret_cast<const std::byte*>(free[free.size() - ahead]);
  const std::size_t used = sizeof(TaskRecord) + tensors * sizeof(runtime::TensorDescriptor);
  for (std::size_t at = 0; at < std::min(used, 16 * line); at += line) __builtin_prefetch(bytes + at, 1);
}

}  // namespace troupe::platform::sim

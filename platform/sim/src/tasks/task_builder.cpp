// Tensors of on-chip tasks: what kernels see of them, what the graph has to know, and their memory.

#include "tasks/task_builder.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "tasks/packed_tensor.hpp"
#include "troupe/runtime/compare.hpp"
#include "troupe/runtime/dtype.hpp"

namespace troupe::platform::sim {

using runtime::Tag;
using runtime::Tensor;

namespace {

/// A caller that says nothing of the kinds, or was built before there were any, is taken at its word.
void copy_scalars(const troupe_chip_task_v1& task, TaskRecord& record) noexcept {
  std::copy_n(task.scalars, task.scalar_count, record.scalars);
  const std::uint8_t* kinds = TROUPE_SCALAR_KINDS_OF(&task);
  if (kinds != nullptr) {
    std::copy_n(kinds, task.scalar_count, record.scalar_kinds);
  } else {
    std::fill_n(record.scalar_kinds, task.scalar_count, std::uint8_t{TROUPE_SCALAR_ANY});
  }
}

bool is_sound(const Tensor& tensor, std::uint32_t tag) noexcept {
  return tensor.valid() && tensor.dims() <= runtime::limits::max_dims &&
         runtime::is_dtype(static_cast<std::uint8_t>(tensor.dtype())) && runtime::is_tag(tag);
}

Error invalid(const std::string& what) { return Error(runtime::Errc::invalid_args, what); }

/// runtime::describe, written where it has to be: a descriptor by value costs a copy that waits for its own
/// stores, which was a sixth of a submit. The address of a symbolic tensor comes later.
void put_descriptor(runtime::TensorDescriptor& to, const Tensor& tensor, Tag tag) noexcept {
  to.address = tensor.buffer().arena == 0 ? tensor.buffer().offset : 0;
  to.size = tensor.buffer_bytes();
  to.start_offset = tensor.byte_offset() >> std::countr_zero(tensor.element_bytes());
  to.version = 0;
  to.ndims = static_cast<std::uint32_t>(tensor.dims());
  to.dtype = static_cast<std::uint8_t>(tensor.dtype());
  to.manual_dep = tag == Tag::no_dep ? 1 : 0;
  to.address_space = static_cast<std::uint8_t>(runtime::AddressSpace::device);
  std::memset(to.shapes, 0, sizeof to.shapes);
  std::memset(to.strides, 0, sizeof to.strides);
  std::uint64_t elements = 1, last = 0;
  bool contiguous = true;
  for (std::size_t dim = tensor.dims(); dim-- > 0;) {
    const std::uint64_t extent = tensor.extent(dim), stride = tensor.stride(dim);
    to.shapes[dim] = static_cast<std::uint32_t>(extent);
    to.strides[dim] = static_cast<std::uint32_t>(stride);
    contiguous = contiguous && (extent == 1 || stride == elements);
    elements *= extent;
    last += (extent - 1) * stride;
  }
  to.extent = elements == 0 ? 0 : last + 1;
  to.is_contiguous = contiguous || elements == 0 ? 1 : 0;
}

}  // namespace

void TaskBuilder::begin(std::span<const Tensor> arguments, bool edges_by_hand) {
  edges_by_hand_ = edges_by_hand;
  argument_ranges_.clear();
  for (const auto& tensor : arguments) {
    const std::uint64_t start = tensor.buffer().offset;
    argument_ranges_.emplace_back(start, start + tensor.buffer_bytes());
  }
  refusal_.reset();
}

bool TaskBuilder::refuse(Error why) {
  refusal_ = std::move(why);
  return false;
}

bool TaskBuilder::known_address(const Tensor& tensor) {
  if (is_argument(tensor)) return true;
  auto inside = memory_.check(tensor.buffer().offset, tensor.buffer_bytes(), "a tensor of the chip program");
  return inside.has_value() || refuse(inside.error());
}

std::uint64_t TaskBuilder::address_of(const Tensor& tensor) {
  if (tensor.buffer().arena == 0) return known_address(tensor) ? tensor.buffer().offset : 0;
  return intermediates_.address_of(tensor.buffer(), refusal_);
}

// Of a task that is run at once: nothing is allocated, and its memory is this run's. False: look again.
inline bool TaskBuilder::describe_argument(TaskRecord& record, std::uint32_t index,
                                           const troupe_chip_argument_v1& argument) {
  const Tensor tensor = unpack(argument.tensor);
  if (argument.flags != 0 || !is_sound(tensor, argument.tag) || tensor.buffer().arena != 0 ||
      !is_argument(tensor))
    return false;
  const auto tag = static_cast<Tag>(argument.tag);
  auto& described = record.tensors[index];
  put_descriptor(described, tensor, tag);
  described.owner_task = runtime::no_owner;
  record.buffers[index] = tensor.buffer();
  record.tags[index] = tag;
  if (checks_.enabled() && tag == Tag::no_dep) checks_.leave_unordered(tensor.buffer());
  return true;
}

bool TaskBuilder::note_accesses(std::span<const Used> tensors) {
  accesses_.clear();
  boxes_.clear();
  boxes_.reserve(tensors.size());  // accesses point into it
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto& [tensor, tag] = tensors[i];
    if (!is_sound(tensor, static_cast<std::uint32_t>(tag)))
      return refuse(invalid("tensor " + std::to_string(i) + " describes no tensor, or has an unknown tag"));
    if (tensor.empty()) continue;
    if (tensor.buffer().arena == 0 && !known_address(tensor)) return false;
    runtime::Access& access = accesses_.emplace_back();
    boxes_.push_back(runtime::make_box(tensor));
    access.buffer = tensor.buffer();
    access.buffer_bytes = tensor.buffer_bytes();
    access.lo = boxes_.back().lo;
    access.hi = boxes_.back().hi;
    access.tag = tag;
    if (boxes_.back().rank != 0 || boxes_.back().hull) access.box = &boxes_.back();
  }
  return true;
}

bool TaskBuilder::add_tensor(TaskRecord& record, std::uint32_t index, const Tensor& tensor, Tag tag) {
  if (!is_sound(tensor, static_cast<std::uint32_t>(tag))) {
    return refuse(invalid("tensor argument " + std::to_string(index) + " of '" + record.entry->name +
                          "' describes no tensor, or has an unknown tag"));
  }
  const bool symbolic = tensor.buffer().arena != 0;
  auto& described = record.tensors[index];
  put_descriptor(described, tensor, tag);
  if (!symbolic && described.extent != 0 && !is_argument(tensor) && !known_address(tensor)) return false;
  record.is_symbolic = record.is_symbolic || symbolic;
  record.buffers[index] = tensor.buffer();
  record.tags[index] = tag;
  record.fills[index].wanted = false;
  if (checks_.enabled() && tag == Tag::no_dep) checks_.leave_unordered(tensor.buffer());
  described.owner_task = intermediates_.owner_of(tensor.buffer());
  if (described.extent == 0) return true;
  runtime::Access& access = accesses_.emplace_back();
  access.buffer = tensor.buffer();
  access.buffer_bytes = tensor.buffer_bytes();
  access.lo = tensor.byte_offset();
  access.hi = access.lo + described.extent * tensor.element_bytes();
  access.tag = edges_by_hand_ ? Tag::no_dep : tag;
  if (described.is_contiguous == 0) {
    boxes_.push_back(runtime::make_box(tensor));
    access.box = &boxes_.back();
    access.lo = boxes_.back().lo;
    access.hi = boxes_.back().hi;
  }
  return true;
}

bool TaskBuilder::give_memory(troupe_chip_argument_v1& argument) {
  const Tensor wanted = unpack(argument.tensor);
  if (auto sound = Tensor::validate(wanted); !sound)
    return refuse(invalid("an output to be allocated: " + sound.error().message()));
  auto buffer = intermediates_.make(wanted.buffer_bytes());
  if (!buffer) return refuse(buffer.error());
  pack(wanted.in_buffer(*buffer), argument.tensor);
  return true;
}

void TaskBuilder::own_outputs(TaskRecord& record, std::uint64_t task) {
  for (std::uint64_t rest = record.allocated; rest != 0; rest &= rest - 1) {
    const auto index = static_cast<std::size_t>(std::countr_zero(rest));
    record.tensors[index].owner_task = task;
    intermediates_.own(record.buffers[index], task);
  }
}

bool TaskBuilder::check_signatures(const TaskRecord& record) {
  for (const KernelEntry* entry : record.lanes) {
    if (entry == nullptr || entry->signature.empty()) continue;
    const auto wrong =
        signature_defect(entry->signature, {record.tags, record.tensor_count}, record.scalar_count);
    if (!wrong.empty())
      return refuse(invalid("the arguments do not fit kernel '" + entry->name + "': " + wrong));
  }
  return true;
}

TaskRecord* TaskBuilder::blank(const troupe_chip_task_v1& task) {
  const bool predicated = task.predicate != nullptr;
  TaskRecord* record = records_.take(task.argument_count + (predicated ? 1 : 0));
  records_.prefetch(task.argument_count);
  accesses_.clear();
  boxes_.clear();
  boxes_.reserve(task.argument_count + 1);  // accesses point into it
  record->has_fills = record->skipped = record->is_store = record->is_symbolic = record->is_listed = false;
  record->is_unordered = false;
  record->allocated = 0;
  record->dumped = ~std::uint64_t{0};
  record->dumps_scalars = false;
  record->timing_slot = -1;
  record->has_predicate = predicated;
  record->sync_start = (task.flags & TROUPE_CHIP_SYNC_START) != 0;
  record->blocks = task.blocks;
  record->next_block = 0;
  record->tensor_count = task.argument_count;
  record->extra_tensors = predicated ? 1 : 0;
  record->scalar_count = task.scalar_count;
  copy_scalars(task, *record);
  return record;
}

bool TaskBuilder::add_arguments(TaskRecord& record, troupe_chip_task_v1& task) {
  for (std::uint32_t i = 0; i < task.argument_count; ++i) {
    auto& argument = task.arguments[i];
    if ((argument.flags & TROUPE_CHIP_ALLOCATE) != 0) {
      if (!give_memory(argument)) return false;
      record.allocated |= std::uint64_t{1} << i;
    }
    if (!add_tensor(record, i, unpack(argument.tensor), static_cast<Tag>(argument.tag))) return false;
    if ((argument.flags & TROUPE_CHIP_FILL) != 0) {
      record.fills[i] = {.wanted = true, .element = argument.initial};
      record.has_fills = true;
    }
  }
  return true;
}

bool TaskBuilder::check_predicate(const troupe_chip_predicate_v1& predicate) {
  if (!runtime::is_compare(predicate.compare)) {
    return refuse(invalid("a predicate compares by number " + std::to_string(predicate.compare) +
                          ", which is no comparison"));
  }
  const auto tensor = unpack(*predicate.tensor);
  if (!tensor.valid()) return true;  // add_tensor says so
  const auto box = runtime::make_box(tensor);
  if (predicate.element < (box.hi - box.lo) / tensor.element_bytes()) return true;
  return refuse(invalid("a predicate looks at element " + std::to_string(predicate.element) + " of " +
                        to_string(tensor) + ", which has no such element"));
}

TaskRecord* TaskBuilder::build(troupe_chip_task_v1& task, const Kernels& kernels) {
  TaskRecord* record = blank(task);
  std::copy(kernels.lanes, kernels.lanes + 3, record->lanes.begin());
  record->lane_count = std::max(kernels.count, 1u);
  record->entry = kernels.entry;
  record->pieces_left = record->blocks * record->lane_count;
  bool good = add_arguments(*record, task);
  if (good && kernels.is_signed) good = check_signatures(*record);
  if (good && record->has_predicate) {
    record->predicate = *task.predicate;
    good = check_predicate(*task.predicate) &&
           add_tensor(*record, task.argument_count, unpack(*task.predicate->tensor), Tag::in);
  }
  if (good) return record;
  records_.give_back(record);
  return nullptr;
}

TaskRecord* TaskBuilder::build_store(const Tensor& tensor, std::uint64_t element, std::uint64_t value,
                                     bool everywhere, KernelEntry& entry) {
  troupe_chip_task_v1 task{};
  const std::uint64_t scalars[2]{value, element};
  task.scalars = scalars;
  task.scalar_count = 2;
  task.argument_count = 1;
  task.blocks = 1;
  TaskRecord* record = blank(task);
  record->lanes = {};
  record->lane_count = record->pieces_left = 1;
  record->entry = &entry;
  record->is_store = true;
  if (!add_tensor(*record, 0, tensor, everywhere ? Tag::out : Tag::inout)) {
    records_.give_back(record);
    return nullptr;
  }
  if (everywhere) {
    record->fills[0] = {.wanted = true, .element = value};
    record->has_fills = true;
  }
  return record;
}

TaskRecord* TaskBuilder::build_at_once(const troupe_chip_task_v1& task, KernelEntry& entry,
                                       std::uint32_t lane) {
  TaskRecord* record = records_.take(task.argument_count);
  for (std::uint32_t i = 0; i < task.argument_count; ++i) {
    if (!describe_argument(*record, i, task.arguments[i])) {
      records_.give_back(record);
      return nullptr;
    }
  }
  record->has_fills = record->has_predicate = record->skipped = record->is_store = record->is_listed = false;
  record->timing_slot = -1;
  record->lanes = {};
  record->lanes[lane] = record->entry = &entry;
  record->lane_count = record->blocks = 1;
  record->tensor_count = task.argument_count;
  record->extra_tensors = 0;
  record->scalar_count = task.scalar_count;
  copy_scalars(task, *record);
  return record;
}

}  // namespace troupe::platform::sim

// Tensors of on-chip tasks: what kernels see of them, what the graph has to know, and their memory.

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "engine/engine.hpp"
#include "engine/engine_jobs.hpp"
#include "engine/packed_tensor.hpp"
#include "memory/memory.hpp"
#include "troupe/runtime/access.hpp"
#include "troupe/runtime/dtype.hpp"

namespace troupe::platform::sim {

using runtime::Tag;
using runtime::Tensor;

namespace {

bool is_sound(const Tensor& tensor, std::uint32_t tag) noexcept {
  return tensor.valid() && tensor.dims() <= runtime::limits::max_dims &&
         runtime::is_dtype(static_cast<std::uint8_t>(tensor.dtype())) && runtime::is_tag(tag);
}

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

bool ChipEngine::known_address(const Tensor& tensor) {
  const std::uint64_t begin = tensor.buffer().offset;
  if (is_argument(tensor)) return true;
  auto inside = parts_.memory.check(begin, tensor.buffer_bytes(), "a tensor of the chip program");
  if (!inside) latch(inside.error());
  return inside.has_value();
}

// Of a task that is run at once: nothing is allocated, and its memory is this run's. False: look again.
bool ChipEngine::describe_argument(TaskRecord& record, std::uint32_t index,
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
  if (checked_ && tag == Tag::no_dep) unordered_.insert({0, tensor.buffer().offset});
  return true;
}

bool ChipEngine::add_tensor(TaskRecord& record, std::uint32_t index, const Tensor& tensor, Tag tag) {
  if (!is_sound(tensor, static_cast<std::uint32_t>(tag))) {
    latch(Error(runtime::Errc::invalid_args, "tensor argument " + std::to_string(index) + " of '" +
                                                 record.entry->name +
                                                 "' describes no tensor, or has an unknown tag"));
    return false;
  }
  const bool symbolic = tensor.buffer().arena != 0;
  auto& described = record.tensors[index];
  put_descriptor(described, tensor, tag);
  if (!symbolic && described.extent != 0 && !is_argument(tensor) && !known_address(tensor)) return false;
  record.is_symbolic = record.is_symbolic || symbolic;
  record.buffers[index] = tensor.buffer();
  record.tags[index] = tag;
  record.fills[index].wanted = false;
  if (checked_ && tag == Tag::no_dep) unordered_.insert({tensor.buffer().arena, tensor.buffer().offset});
  described.owner_task = owner_of(tensor.buffer());
  if (described.extent == 0) return true;
  const bool explicit_edges = runtime_ != TROUPE_CHIP_RUNTIME_TENSORMAP;
  runtime::Access& access = accesses_.emplace_back();
  access.buffer = tensor.buffer();
  access.buffer_bytes = tensor.buffer_bytes();
  access.lo = tensor.byte_offset();
  access.hi = access.lo + described.extent * tensor.element_bytes();
  access.tag = explicit_edges ? Tag::no_dep : tag;
  if (described.is_contiguous == 0) {
    boxes_.push_back(runtime::make_box(tensor));
    access.box = &boxes_.back();
    access.lo = boxes_.back().lo;
    access.hi = boxes_.back().hi;
  }
  return true;
}

bool ChipEngine::give_memory(troupe_chip_argument_v1& argument) {
  const Tensor wanted = unpack(argument.tensor);
  if (auto sound = Tensor::validate(wanted); !sound) {
    latch(Error(runtime::Errc::invalid_args, "an output to be allocated: " + sound.error().message()));
    return false;
  }
  auto buffer = graph_->alloc(wanted.buffer_bytes());
  if (!buffer) {
    latch(buffer.error());
    return false;
  }
  if (buffer->offset >= made_.size())
    made_.resize(std::max<std::size_t>(buffer->offset + 1, made_.size() * 2));
  made_[buffer->offset] = {.bytes = wanted.buffer_bytes()};
  const Tensor made = wanted.in_buffer(*buffer);
  pack(made, argument.tensor);
  return true;
}

std::uint64_t ChipEngine::owner_of(const runtime::BufferRef& buffer) const noexcept {
  return buffer.arena != 0 && buffer.offset < made_.size() ? made_[buffer.offset].owner : runtime::no_owner;
}

void ChipEngine::own_outputs(TaskRecord& record, std::uint64_t task) {
  for (std::uint64_t rest = record.allocated; rest != 0; rest &= rest - 1) {
    const auto index = static_cast<std::size_t>(std::countr_zero(rest));
    record.tensors[index].owner_task = made_[record.buffers[index].offset].owner = task;
  }
}

}  // namespace troupe::platform::sim

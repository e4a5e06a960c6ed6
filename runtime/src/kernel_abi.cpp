#include "troupe/runtime/kernel_abi.hpp"

#include <algorithm>

#include "text.hpp"

namespace troupe::runtime {
namespace {

std::int64_t word_of(const void* address) {
  return static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(address));
}

}  // namespace

TensorDescriptor describe(const Tensor& tensor, std::uint64_t buffer_address, AddressSpace space, Tag tag,
                          std::uint64_t owner_task) noexcept {
  TensorDescriptor descriptor;
  descriptor.address = buffer_address;
  descriptor.size = tensor.buffer_bytes();
  descriptor.owner_task = owner_task;
  // Never 0 for a tensor that keeps its invariants; a broken one must not trap here.
  descriptor.start_offset = tensor.byte_offset() / std::max<std::size_t>(tensor.element_bytes(), 1);
  descriptor.ndims = static_cast<std::uint32_t>(tensor.dims());
  descriptor.dtype = static_cast<std::uint8_t>(tensor.dtype());
  descriptor.manual_dep = tag == Tag::no_dep ? 1 : 0;
  descriptor.is_contiguous = tensor.is_contiguous() ? 1 : 0;
  descriptor.address_space = static_cast<std::uint8_t>(space);
  descriptor.extent = tensor.extent_elements();
  for (std::size_t dim = 0; dim < tensor.dims(); ++dim) {
    descriptor.shapes[dim] = tensor.extent(dim);
    descriptor.strides[dim] = tensor.stride(dim);
  }
  return descriptor;
}

Result<Tensor> tensor_from(const TensorDescriptor& descriptor, std::uint32_t arena,
                           std::uint32_t generation) {
  if (descriptor.ndims > limits::max_dims) {
    return Error(Errc::invalid_shape, text("a tensor descriptor of ", descriptor.ndims, " dimensions"));
  }
  if (!is_dtype(descriptor.dtype)) {
    return Error(Errc::unknown_dtype, text("a tensor descriptor of unknown dtype ", descriptor.dtype));
  }
  const auto dtype = static_cast<DType>(descriptor.dtype);
  std::uint64_t byte_offset = 0;
  if (__builtin_mul_overflow(descriptor.start_offset, std::uint64_t{size_of(dtype)}, &byte_offset)) {
    return Error(Errc::size_overflow,
                 text("a tensor descriptor that starts at element ", descriptor.start_offset));
  }
  std::uint64_t extents[limits::max_dims] = {};
  std::uint64_t strides[limits::max_dims] = {};
  for (std::size_t dim = 0; dim < descriptor.ndims; ++dim) {
    extents[dim] = descriptor.shapes[dim];
    strides[dim] = descriptor.strides[dim];
  }
  return Tensor::create_strided({arena, generation, descriptor.address}, descriptor.size, byte_offset,
                                *Shape::from({extents, descriptor.ndims}),
                                *Shape::from({strides, descriptor.ndims}), dtype);
}

Result<KernelWords> kernel_words(std::span<const TensorDescriptor> descriptors,
                                 std::span<const std::uint64_t> scalars, const LocalContext& local,
                                 const GlobalContext& global) {
  if (descriptors.size() > limits::core_tensors) {
    return Error(
        Errc::too_many_tensors,
        text(descriptors.size(), " tensors for a kernel that carries at most ", limits::core_tensors));
  }
  if (scalars.size() > limits::core_scalars) {
    return Error(Errc::too_many_scalars,
                 text(scalars.size(), " scalars for a kernel that carries at most ", limits::core_scalars));
  }
  KernelWords result;
  std::int64_t* word = result.words;
  for (const TensorDescriptor& descriptor : descriptors) *word++ = word_of(&descriptor);
  for (const std::uint64_t scalar : scalars) *word++ = static_cast<std::int64_t>(scalar);
  result.words[limits::local_context_word] = word_of(&local);
  result.words[limits::global_context_word] = word_of(&global);
  return result;
}

}  // namespace troupe::runtime

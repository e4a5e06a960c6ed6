#include "kernels/input_check.hpp"

#include <cstring>
#include <string>

#include "common.hpp"
#include "memory/memory.hpp"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/dtype.hpp"

namespace troupe::platform::sim {

using runtime::TensorDescriptor;

namespace {

std::uint64_t element_bytes(const TensorDescriptor& tensor) noexcept {
  return runtime::size_of(static_cast<runtime::DType>(tensor.dtype));
}
std::uint64_t first_byte(const TensorDescriptor& tensor) noexcept {
  return tensor.address + tensor.start_offset * element_bytes(tensor);
}

}  // namespace

bool InputCheck::aliased(const TensorDescriptor* tensors, const runtime::Tag* tags, std::uint32_t count,
                         std::uint32_t which) noexcept {
  const std::uint64_t lo = first_byte(tensors[which]);
  const std::uint64_t hi = lo + tensors[which].extent * element_bytes(tensors[which]);
  for (std::uint32_t i = 0; i < count; ++i) {
    if (tags[i] == runtime::Tag::in) continue;
    const std::uint64_t other = first_byte(tensors[i]);
    if (other < hi && lo < other + tensors[i].extent * element_bytes(tensors[i])) return true;
  }
  return false;
}

// Of the elements alone: what lies between those of a view is not its own.
std::uint64_t InputCheck::digest(const TensorDescriptor& tensor) noexcept {
  constexpr std::uint64_t basis = 0xCBF29CE484222325, prime = 0x100000001B3;
  const std::uint64_t size = element_bytes(tensor);
  const auto* first = pointer<const std::byte>(first_byte(tensor));
  std::uint64_t elements = 1;
  for (std::uint32_t d = 0; d < tensor.ndims; ++d) elements *= tensor.shapes[d];
  std::uint64_t hash = basis;
  for (std::uint64_t k = 0; k < elements; ++k) {
    std::uint64_t offset = k;
    if (tensor.is_contiguous == 0) {
      std::uint64_t rest = k;
      offset = 0;
      for (std::uint32_t d = tensor.ndims; d-- > 0;) {
        offset += rest % tensor.shapes[d] * tensor.strides[d];
        rest /= tensor.shapes[d];
      }
    }
    std::uint64_t bits = 0;
    std::memcpy(&bits, first + offset * size, size);
    hash = (hash ^ bits) * prime;
  }
  return hash;
}

Error InputCheck::changed(const char* kernel, std::uint32_t index) {
  return Error(Errc::kernel_failed,
               "kernel '" + std::string(kernel) + "' wrote to tensor " + std::to_string(index) +
                   ", which it got as in",
               "pass it as inout or out, or write to another tensor");
}

}  // namespace troupe::platform::sim

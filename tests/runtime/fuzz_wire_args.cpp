// Task arguments from any bytes: a decoded view is valid, and encoding it again gives the bytes it came from.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "troupe/runtime/kernel_abi.hpp"
#include "troupe/runtime/wire.hpp"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace troupe::runtime;
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto copied = wire::decode(bytes);
  std::vector<std::uint64_t> aligned((size + 7) / 8);
  if (size != 0) std::memcpy(aligned.data(), data, size);
  const auto view = wire::decode_view(std::as_bytes(std::span(aligned)).first(size));
  require(copied.has_value() == view.has_value());
  if (!view) return 0;
  require(validate(*view).has_value());
  const std::vector<std::byte> again = wire::encode(*view);
  require(again.size() <= size && std::memcmp(again.data(), data, again.size()) == 0);
  require(wire::encode(copied->view()) == again);
  for (const Tensor& tensor : view->tensors) {
    require(tensor.byte_offset() + tensor.byte_extent() <= tensor.buffer_bytes());
    const TensorDescriptor descriptor = describe(tensor, tensor.buffer().offset, AddressSpace::device);
    const auto back = tensor_from(descriptor, tensor.buffer().arena, tensor.buffer().generation);
    require(back.has_value() && *back == tensor);
    (void)to_string(tensor);
    if (const auto flat = tensor.try_reshape(Shape(tensor.elements())); flat) {
      require(flat->byte_extent() == tensor.byte_extent() || tensor.empty());
    }
  }
  return 0;
}

// Packed callables: whatever the bytes, what is unpacked lies inside them, and sorted numbers are different.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>

#include "orchestration/packed_callable.hpp"

using troupe::platform::sim::PackedCallable;
using troupe::platform::sim::unpack_callable;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool inside(std::span<const std::byte> part, std::span<const std::byte> all) {
  return part.empty() || (part.data() >= all.data() && part.data() + part.size() <= all.data() + all.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const auto callable = unpack_callable(bytes);
  if (!callable) {
    require(!callable.error().message().empty());
    return 0;
  }
  require(inside(callable->object, bytes));
  require(callable->entry.size() < 64 && callable->config.size() < 64);
  require(callable->directions.size() <= 256 && callable->kernels.size() <= 1024);
  for (const std::uint8_t direction : callable->directions) require(direction <= 3);
  std::int32_t last = -1;
  for (const auto& kernel : callable->kernels) {
    require(inside(kernel.object, bytes));
    require(kernel.number > last && kernel.number < 1024);
    last = kernel.number;
  }
  return 0;
}

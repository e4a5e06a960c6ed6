// The kernel of random programs: (up to 3 tensors, number, uses). See random_program.hpp.
#include <cstdint>

#include "orchestration/objects/random_program.hpp"

using random_program::mixed;

struct Descriptor {
  std::uint64_t address, size, owner, start_offset;
  std::int32_t version;
  std::uint32_t ndims;
  std::uint8_t dtype, manual_dep, contiguous, space;
  std::uint32_t shapes[5];
  std::uint64_t extent;
  std::uint32_t strides[5];
};
struct Local {
  std::int32_t block_idx, block_num;
};

static std::uint32_t* at(const Descriptor& tensor, std::uint32_t i) {
  auto* first = reinterpret_cast<std::uint32_t*>(tensor.address) + tensor.start_offset;
  if (tensor.ndims == 1) return first + i * tensor.strides[0];
  return first + i / tensor.shapes[1] * tensor.strides[0] + i % tensor.shapes[1] * tensor.strides[1];
}
static std::uint32_t count(const Descriptor& tensor) {
  return tensor.ndims == 1 ? tensor.shapes[0] : tensor.shapes[0] * tensor.shapes[1];
}

// The last four words of the scalars: the number, how many tensors, two bits of use for each.
extern "C" void kernel_entry(std::int64_t* args) {
  const auto& local = *reinterpret_cast<const Local*>(args[48]);
  std::int64_t tensors = 0;
  while (tensors < 3 && static_cast<std::uint64_t>(args[tensors]) > 0xFFFFFFFFFFu) ++tensors;
  auto sum = static_cast<std::uint32_t>(args[tensors]);
  const auto uses = static_cast<std::uint32_t>(args[tensors + 1]);
  const auto used = [&](std::int64_t t) { return uses >> (2 * t) & 3u; };
  for (std::int64_t t = 0; t < tensors; ++t) {
    const auto& tensor = *reinterpret_cast<const Descriptor*>(args[t]);
    if (used(t) == random_program::writes) continue;
    for (std::uint32_t i = 0; i < count(tensor); ++i) sum = mixed(sum, *at(tensor, i));
  }
  for (std::int64_t t = 0; t < tensors; ++t) {
    const auto& tensor = *reinterpret_cast<const Descriptor*>(args[t]);
    if (used(t) == random_program::reads) continue;
    for (std::uint32_t i = 0; i < count(tensor); ++i) {
      if (static_cast<std::int32_t>(i) % local.block_num != local.block_idx) continue;
      std::uint32_t& element = *at(tensor, i);
      element = mixed(sum + i, used(t) == random_program::updates ? element : 0);
    }
  }
}

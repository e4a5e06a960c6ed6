#include "engine/blocks.hpp"

#include <algorithm>
#include <cstring>

#include "troupe/runtime/kernel_abi.hpp"

namespace troupe::platform::queued {

namespace {

constexpr std::size_t blocks_per_slab = 64;

// What kernels read is what the host writes.
using Descriptor = runtime::TensorDescriptor;
static_assert(sizeof(troupe_device_tensor) == sizeof(Descriptor));
static_assert(offsetof(troupe_device_tensor, start_offset) == offsetof(Descriptor, start_offset));
static_assert(offsetof(troupe_device_tensor, ndims) == offsetof(Descriptor, ndims));
static_assert(offsetof(troupe_device_tensor, dtype) == offsetof(Descriptor, dtype));
static_assert(offsetof(troupe_device_tensor, is_contiguous) == offsetof(Descriptor, is_contiguous));
static_assert(offsetof(troupe_device_tensor, shapes) == offsetof(Descriptor, shapes));
static_assert(offsetof(troupe_device_tensor, extent) == offsetof(Descriptor, extent));
static_assert(offsetof(troupe_device_tensor, strides) == offsetof(Descriptor, strides));
static_assert(sizeof(troupe_device_u64) == sizeof(std::uint64_t));
static_assert(sizeof(troupe_device_block::local_context) == sizeof(runtime::LocalContext));
static_assert(sizeof(troupe_device_block::global_context) == sizeof(runtime::GlobalContext));
static_assert(offsetof(troupe_device_block, descriptors) % runtime::limits::descriptor_alignment == 0);
static_assert(sizeof(troupe_device_block) % runtime::limits::descriptor_alignment == 0);
static_assert(TROUPE_BLOCK_WORDS == runtime::limits::kernel_words);
static_assert(TROUPE_BLOCK_TENSORS == runtime::limits::core_tensors);

}  // namespace

Blocks::~Blocks() {
  for (const auto& slab : slabs_) driver_.free_shared(slab);
}

Result<void> Blocks::grow() {
  const std::size_t count = std::min(blocks_per_slab, most_ - all_.size());
  auto slab = driver_.allocate_shared(count * sizeof(troupe_device_block));
  if (!slab) return slab.error();
  slabs_.push_back(*slab);
  auto* blocks = static_cast<troupe_device_block*>(slab->host);
  for (std::size_t i = 0; i < count; ++i) {
    all_.push_back({blocks + i, slab->device + i * sizeof(troupe_device_block), 0});
    free_.push_back(&all_.back());
  }
  return {};
}

Result<Block*> Blocks::take() {
  if (free_.empty()) {
    if (all_.size() == most_) return nullptr;
    if (auto grown = grow(); !grown) return grown.error();
  }
  Block* block = free_.back();
  free_.pop_back();
  block->users = 1;
  std::memset(block->host, 0, offsetof(troupe_device_block, text) + 1);
  return block;
}

void Blocks::leave(Block& block) noexcept {
  if (--block.users == 0) free_.push_back(&block);
}

}  // namespace troupe::platform::queued

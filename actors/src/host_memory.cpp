#include "host_memory.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>

#include "troupe/actors/errc.hpp"
#include "troupe/comm/memory_left.hpp"

namespace troupe::actors {
namespace {

constexpr std::uint64_t slab_bytes = 16ULL << 20U;
constexpr std::uint64_t own_region_from = 1ULL << 20U;  ///< larger buffers get a mapping of their own
constexpr std::uint64_t alignment = 64;
constexpr std::size_t kept_arenas = 8;

Error no_memory(std::uint64_t bytes) {
  return {Errc::out_of_memory, "no host memory for " + std::to_string(bytes) +
                                   " bytes: " + std::generic_category().message(errno)};
}

}  // namespace

Result<std::shared_ptr<HostRegion>> HostRegion::map(std::uint64_t bytes) {
  const int fd = memfd_create("troupe", MFD_CLOEXEC);
  if (fd < 0) return no_memory(bytes);
  void* base = MAP_FAILED;
  if (ftruncate(fd, static_cast<off_t>(bytes)) == 0) {
    base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
  }
  if (base == MAP_FAILED) {
    auto error = no_memory(bytes);
    close(fd);
    return error;
  }
  return std::shared_ptr<HostRegion>(new HostRegion(static_cast<std::byte*>(base), bytes, fd));
}

HostRegion::~HostRegion() {
  munmap(base_, bytes_);
  close(fd_);
}

/// A user's buffer: gives its block back when the last tensor of it goes.
class HostHold final : public BufferHold {
 public:
  HostHold(std::weak_ptr<HostMemory> memory, HostMemory::Block block)
      : memory_(std::move(memory)), block_(std::move(block)) {}
  ~HostHold() override {
    if (auto memory = memory_.lock()) memory->release(block_);
  }

 private:
  std::weak_ptr<HostMemory> memory_;
  HostMemory::Block block_;
};

Result<Tensor> HostMemory::tensor(const runtime::Shape& shape, runtime::DType dtype) {
  auto like = runtime::Tensor::create_unallocated(shape, dtype);
  if (!like) return like.error();
  const auto bytes = std::max<std::uint64_t>(like->bytes(), 1);
  auto block = allocate(bytes);
  if (!block) return block.error();
  auto* address = block->region->base() + block->offset;
  std::memset(address, 0, bytes);
  auto view = runtime::Tensor::create(runtime::BufferRef::host(address), bytes, 0, shape, dtype);
  if (!view) {
    release(*block);
    return view.error();
  }
  return Tensor(*view, std::make_shared<HostHold>(weak_from_this(), *std::move(block)));
}

Result<HostMemory::Block> HostMemory::allocate(std::uint64_t bytes) {
  if (bytes > (1ULL << 46U)) {
    errno = ENOMEM;
    return no_memory(bytes);
  }
  // The kernel promises more than there is, and kills somebody when it is used.
  if (const auto left = bytes > comm::worth_asking ? comm::memory_left() : UINT64_MAX; bytes > left) {
    return Error(Errc::out_of_memory,
                 "no host memory for " + std::to_string(bytes) + " bytes: " + std::to_string(left >> 20U) +
                     " MiB are left of the machine's, or of what its control group allows",
                 "use smaller tensors, or make them one after the other");
  }
  const auto rounded = (bytes + alignment - 1) / alignment * alignment;
  if (rounded >= own_region_from) {
    auto region = HostRegion::map(rounded);
    if (!region) return region.error();
    return Block{*region, 0, rounded};
  }
  std::lock_guard guard(mutex_);
  for (auto& slab : slabs_) {
    for (auto hole = slab.free.begin(); hole != slab.free.end(); ++hole) {
      if (hole->second < rounded) continue;
      Block block{slab.region, hole->first, rounded};
      const auto rest = hole->second - rounded;
      slab.free.erase(hole);
      if (rest > 0) slab.free.emplace(block.offset + rounded, rest);
      return block;
    }
  }
  auto region = HostRegion::map(slab_bytes);
  if (!region) return region.error();
  slabs_.push_back({*region, {{rounded, slab_bytes - rounded}}});
  return Block{*region, 0, rounded};
}

void HostMemory::release(const Block& block) {
  if (block.bytes >= own_region_from) return;  // unmapped with its last reference
  std::lock_guard guard(mutex_);
  const auto slab =
      std::find_if(slabs_.begin(), slabs_.end(), [&](const Slab& s) { return s.region == block.region; });
  if (slab == slabs_.end()) return;
  auto [hole, added] = slab->free.emplace(block.offset, block.bytes);
  if (auto next = std::next(hole); next != slab->free.end() && hole->first + hole->second == next->first) {
    hole->second += next->second;
    slab->free.erase(next);
  }
  if (hole != slab->free.begin()) {
    if (auto before = std::prev(hole); before->first + before->second == hole->first) {
      before->second += hole->second;
      slab->free.erase(hole);
    }
  }
}

Result<std::shared_ptr<HostRegion>> HostMemory::take_arena(std::uint64_t bytes) {
  {
    std::lock_guard guard(mutex_);
    for (auto it = arenas_.begin(); it != arenas_.end(); ++it) {
      if ((*it)->bytes() < bytes) continue;
      auto region = std::move(*it);
      arenas_.erase(it);
      return region;
    }
  }
  return HostRegion::map(bytes);
}

void HostMemory::give_back_arena(std::shared_ptr<HostRegion> region) {
  std::lock_guard guard(mutex_);
  if (arenas_.size() < kept_arenas) arenas_.push_back(std::move(region));
}

}  // namespace troupe::actors

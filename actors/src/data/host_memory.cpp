#include "data/host_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <system_error>

#include "data/buffer.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/comm/memory_left.hpp"
#include "troupe/comm/threads_hint.hpp"

namespace troupe::actors {
namespace {

constexpr std::uint64_t first_slab = 16ULL << 20U;
constexpr std::uint64_t largest_slab = 1ULL << 30U;  ///< but for a buffer that is larger
/// Giving memory back costs a call to the system. From this size on it is worth that.
constexpr std::uint64_t worth_a_call = 1ULL << 20U;
constexpr std::uint64_t alignment = 64;
constexpr std::uint64_t page = 4096;
/// For runs that have ended to let go of what they had. It takes them microseconds.
constexpr std::chrono::seconds patience{1};

Error no_memory(std::uint64_t bytes) {
  return {Errc::out_of_memory,
          "no host memory for " + std::to_string(bytes) + " bytes: " + std::generic_category().message(errno),
          comm::limit_hint(errno)};
}

Error overlaps_partly(const runtime::Tensor& view) {
  return {Errc::bad_argument, to_string(view) + " lies partly in the memory of another tensor, partly not",
          "borrow memory that a tensor has as a whole, or not at all"};
}

}  // namespace

Result<std::shared_ptr<HostRegion>> HostRegion::map(std::uint64_t bytes) {
  // Beyond the limit on files the kernel would send a signal.
  if (rlimit limit{}; getrlimit(RLIMIT_FSIZE, &limit) == 0 && bytes > limit.rlim_cur) {
    errno = EFBIG;
    return no_memory(bytes);
  }
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

void HostRegion::give_back(std::uint64_t offset, std::uint64_t bytes) const {
  const auto from = (offset + page - 1) / page * page, to = (offset + bytes) / page * page;
  if (from >= to) return;
  // Fails on no file that we make; then the memory stays until the region goes.
  (void)fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(from),
                  static_cast<off_t>(to - from));
}

// --- holes ---------------------------------------------------------------------------------------

void HoleList::insert(Hole hole) {
  by_offset_.emplace(hole.offset, Size{hole.bytes, hole.warm});
  by_size_.emplace(hole.bytes, hole.offset);
}

void HoleList::erase(std::map<std::uint64_t, Size>::iterator hole) {
  by_size_.erase({hole->second.bytes, hole->first});
  by_offset_.erase(hole);
}

std::optional<std::uint64_t> HoleList::take(std::uint64_t bytes, std::uint64_t alignment_of) {
  for (auto it = by_size_.lower_bound({bytes, 0}); it != by_size_.end(); ++it) {
    const auto [size, offset] = *it;
    const auto at = (offset + alignment_of - 1) / alignment_of * alignment_of;
    const auto before = at - offset;
    if (size < before + bytes) continue;
    const auto hole = by_offset_.find(offset);
    // Nobody knows which bytes of a hole are warm (backed by pages): new blocks are said to take those first.
    const auto warm = hole->second.warm - std::min(hole->second.warm, bytes);
    const auto after = size - before - bytes;
    erase(hole);
    if (before > 0) insert({offset, before, std::min(warm, before)});
    if (after > 0) insert({at + bytes, after, std::min(warm - std::min(warm, before), after)});
    return at;
  }
  return std::nullopt;
}

HoleList::Hole HoleList::add(Hole freed) {
  auto next = by_offset_.lower_bound(freed.offset);
  if (next != by_offset_.begin()) {
    if (const auto before = std::prev(next); before->first + before->second.bytes == freed.offset) {
      freed.offset = before->first;
      freed.bytes += before->second.bytes;
      freed.warm += before->second.warm;
      erase(before);
    }
  }
  if (next != by_offset_.end() && freed.offset + freed.bytes == next->first) {
    freed.bytes += next->second.bytes;
    freed.warm += next->second.warm;
    erase(next);
  }
  insert(freed);
  return freed;
}

void HoleList::cooled(std::uint64_t offset) { by_offset_.at(offset).warm = 0; }

// --- buffers -------------------------------------------------------------------------------------

HostBlock& HostBlock::operator=(HostBlock&& other) noexcept {
  give_back();
  memory_ = std::move(other.memory_);
  region_ = std::move(other.region_);
  offset_ = other.offset_;
  bytes_ = other.bytes_;
  return *this;
}
HostBlock::~HostBlock() { give_back(); }
void HostBlock::give_back() {
  if (!region_) return;
  if (const auto memory = memory_.lock()) memory->release(*this);
  region_.reset();
}

Result<Tensor> HostMemory::tensor(const runtime::Shape& shape, runtime::DType dtype) {
  if (!process_.is_here()) return process_.in_a_child();
  auto like = runtime::Tensor::create_unallocated(shape, dtype);
  if (!like) return like.error();
  const auto bytes = std::max<std::uint64_t>(like->bytes(), 1);
  auto block = take(bytes);
  if (!block) return block.error();
  auto* address = block->address();
  std::memset(address, 0, bytes);
  auto view = runtime::Tensor::create(runtime::BufferRef::host(address), bytes, 0, shape, dtype);
  if (!view) return view.error();
  auto buffer = std::make_shared<Buffer>(Buffer::Kind::tensor, bytes, *like, weak_from_this());
  buffer->block_ = *std::move(block);
  buffer->address_ = address;
  {
    std::lock_guard guard(mutex_);
    known_[reinterpret_cast<std::uintptr_t>(address)] = {bytes, buffer};
  }
  return Tensor(*view, std::move(buffer));
}

std::shared_ptr<Buffer> HostMemory::intermediate(const runtime::Tensor& like) {
  return std::make_shared<Buffer>(Buffer::Kind::intermediate, like.bytes(), like, weak_from_this());
}

Result<Tensor> HostMemory::borrow(const runtime::Tensor& view, std::uint64_t program) {
  std::weak_ptr<Buffer> in_the_way;
  auto found = try_borrow(view, in_the_way);
  if (found) return *std::move(found);
  const auto until = std::chrono::steady_clock::now() + patience;
  for (;;) {
    if (const auto its = in_the_way.lock();
        its && (its->kind() != Buffer::Kind::borrowed || its->BufferHold::kept_by.load() == program))
      return overlaps_partly(view);
    {
      std::unique_lock guard(mutex_);
      ++waiting_;
      const bool in_time = forgotten_.wait_until(guard, until, [&] { return in_the_way.expired(); });
      --waiting_;
      if (!in_time) return overlaps_partly(view);
    }
    found = try_borrow(view, in_the_way);
    if (found) return *std::move(found);
  }
}

std::optional<Result<Tensor>> HostMemory::try_borrow(const runtime::Tensor& view,
                                                     std::weak_ptr<Buffer>& in_the_way) {
  const auto begin = view.buffer().offset, end = begin + view.buffer_bytes();
  std::shared_ptr<Buffer> buffer;  // outlives the lock: the end of one takes it
  std::lock_guard guard(mutex_);
  // Those that have ended and were not forgotten yet would hide others.
  auto next = known_.upper_bound(begin);
  while (next != known_.begin() && std::prev(next)->second.buffer.expired())
    next = known_.erase(std::prev(next));
  while (next != known_.end() && next->first < end && next->second.buffer.expired())
    next = known_.erase(next);
  if (next != known_.begin()) {
    const auto& [address, known] = *std::prev(next);
    if (address + known.bytes > begin) buffer = known.buffer.lock();
    if (buffer && address + known.bytes >= end) {
      auto same = view.rebased(runtime::BufferRef{0, 0, address}, known.bytes, begin - address);
      if (!same) return same.error();
      return Tensor(*same, std::move(buffer));
    }
    in_the_way = buffer;
    if (buffer) return std::nullopt;
  }
  if (next != known_.end() && next->first < end) {
    in_the_way = next->second.buffer;
    return std::nullopt;
  }
  buffer = std::make_shared<Buffer>(Buffer::Kind::borrowed, view.buffer_bytes(), view, weak_from_this());
  // NOLINTNEXTLINE(performance-no-int-to-ptr): the user's pointer, which the view keeps as a number
  buffer->address_ = reinterpret_cast<std::byte*>(static_cast<std::uintptr_t>(begin));
  known_[begin] = {view.buffer_bytes(), buffer};
  return Tensor(view, std::move(buffer));
}

void HostMemory::forget(const std::byte* address) {
  std::lock_guard guard(mutex_);
  // Another may have its place by now.
  const auto known = known_.find(reinterpret_cast<std::uintptr_t>(address));
  if (known != known_.end() && known->second.buffer.expired()) known_.erase(known);
  if (waiting_ != 0) forgotten_.notify_all();
}

Result<HostBlock> HostMemory::take(std::uint64_t bytes) {
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
  // Whole pages for what is worth giving back by itself.
  const auto unit = bytes >= worth_a_call ? page : alignment;
  const auto rounded = (bytes + unit - 1) / unit * unit;
  std::lock_guard guard(mutex_);
  for (auto& slab : slabs_) {
    if (const auto offset = slab.free.take(rounded, unit))
      return HostBlock(weak_from_this(), slab.region, *offset, rounded);
  }
  auto region = map_slab(rounded);
  if (!region) return region.error();
  auto& slab = slabs_.emplace_back(Slab{*region, HoleList((*region)->bytes())});
  return HostBlock(weak_from_this(), slab.region, *slab.free.take(rounded, unit), rounded);
}

/// As large as all slabs together, up to a limit; smaller where limits on address space do not allow that.
Result<std::shared_ptr<HostRegion>> HostMemory::map_slab(std::uint64_t least) const {
  std::uint64_t wanted = first_slab;
  for (const auto& slab : slabs_) wanted += slab.region->bytes();
  wanted = std::max(std::min(wanted, largest_slab), least);
  for (;;) {
    auto region = HostRegion::map(wanted);
    if (region || wanted == least) return region;
    wanted = std::max(wanted / 2, least);
  }
}

void HostMemory::release(const HostBlock& block) {
  if (!process_.is_here()) return;
  const bool large = block.bytes_ >= worth_a_call;
  // Nobody else knows these bytes yet, so nobody waits meanwhile.
  if (large) block.region_->give_back(block.offset_, block.bytes_);
  std::shared_ptr<HostRegion> unmapped;  // after the lock is gone
  std::lock_guard guard(mutex_);
  const auto slab =
      std::find_if(slabs_.begin(), slabs_.end(), [&](const Slab& s) { return s.region == block.region_; });
  if (slab == slabs_.end()) return;
  const auto hole = slab->free.add({block.offset_, block.bytes_, large ? 0 : block.bytes_});
  if (hole.warm >= worth_a_call) {
    slab->free.cooled(hole.offset);
    slab->region->give_back(hole.offset, hole.bytes);
  }
  if (!slab->free.all_free(slab->region->bytes())) return;
  // One empty slab is kept for what comes next, unless it was made for something very large.
  const bool spare = std::any_of(slabs_.begin(), slabs_.end(), [&](const Slab& other) {
    return &other != &*slab && other.free.all_free(other.region->bytes());
  });
  if (!spare && slab->region->bytes() <= largest_slab) return;
  unmapped = std::move(slab->region);
  slabs_.erase(slab);
}

std::optional<HostMemory::Piece> HostMemory::piece_at(const std::byte* address, std::uint64_t bytes) {
  std::lock_guard guard(mutex_);
  for (const auto& slab : slabs_) {
    const auto& region = *slab.region;
    if (address < region.base()) continue;
    const auto offset = static_cast<std::uint64_t>(address - region.base());
    if (offset < region.bytes() && bytes <= region.bytes() - offset)
      return Piece{slab.region, region.base(), region.bytes(), region.descriptor()};
  }
  return std::nullopt;
}

std::size_t HostMemory::slabs() const {
  std::lock_guard guard(mutex_);
  return slabs_.size();
}

}  // namespace troupe::actors

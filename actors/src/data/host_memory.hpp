#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "threads/threads.hpp"
#include "troupe/actors/tensor.hpp"
#include "troupe/platform/isolated.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::actors {

/// One mapping of a memfd: host memory that another process could be given. Pages are reserved when touched.
class TROUPE_API HostRegion {
 public:
  static Result<std::shared_ptr<HostRegion>> map(std::uint64_t bytes);
  HostRegion(const HostRegion&) = delete;
  HostRegion& operator=(const HostRegion&) = delete;
  ~HostRegion();

  std::byte* base() const { return base_; }
  std::uint64_t bytes() const { return bytes_; }
  int descriptor() const { return fd_; }
  /// The whole pages among these bytes go back to the system, and read as zeros from now on.
  void give_back(std::uint64_t offset, std::uint64_t bytes) const;

 private:
  HostRegion(std::byte* base, std::uint64_t bytes, int fd) : base_(base), bytes_(bytes), fd_(fd) {}
  std::byte* base_;
  std::uint64_t bytes_;
  int fd_;
};

/// The free bytes of a region: holes, never two that touch. A hole knows how many of its bytes may still have
/// memory behind them (`warm`). Plain state.
class TROUPE_API HoleList {
 public:
  struct Hole {
    std::uint64_t offset = 0, bytes = 0, warm = 0;
  };
  explicit HoleList(std::uint64_t bytes) { insert({0, bytes, 0}); }

  /// The smallest hole that has room for so many bytes at a multiple of `alignment` loses them.
  std::optional<std::uint64_t> take(std::uint64_t bytes, std::uint64_t alignment);
  /// They are free (again); the hole they are in now.
  Hole add(Hole freed);
  /// All of the hole's memory has gone back.
  void cooled(std::uint64_t offset);
  /// Whether nothing of a region of so many bytes is taken.
  bool all_free(std::uint64_t bytes) const { return by_size_.contains({bytes, 0}); }

 private:
  struct Size {
    std::uint64_t bytes = 0, warm = 0;
  };
  void insert(Hole hole);
  void erase(std::map<std::uint64_t, Size>::iterator hole);

  std::map<std::uint64_t, Size> by_offset_;
  std::set<std::pair<std::uint64_t, std::uint64_t>> by_size_;  ///< bytes, offset
};

class HostMemory;

/// A block of host memory; goes back when it goes.
class TROUPE_API HostBlock {
 public:
  HostBlock(HostBlock&& other) noexcept = default;
  HostBlock& operator=(HostBlock&& other) noexcept;
  ~HostBlock();
  std::byte* address() const { return region_->base() + offset_; }

 private:
  friend class HostMemory;
  HostBlock(std::weak_ptr<HostMemory> memory, std::shared_ptr<HostRegion> region, std::uint64_t offset,
            std::uint64_t bytes)
      : memory_(std::move(memory)), region_(std::move(region)), offset_(offset), bytes_(bytes) {}
  void give_back();

  std::weak_ptr<HostMemory> memory_;
  std::shared_ptr<HostRegion> region_;
  std::uint64_t offset_ = 0, bytes_ = 0;
};

/// The host memory of a system: where tensors have their place when no chip has them. Blocks of a few slabs,
/// each as large as all before it together up to 1 GiB: a process has few descriptors, so their number grows
/// with the logarithm of the memory and then with its GiB, not with the number of buffers. The memory of what
/// is freed goes back to the system, of small blocks when enough of them lie together. Knows which memory is
/// a buffer's, so that a pointer into one is a view of it. Thread-safe; buffers may outlive it.
class TROUPE_API HostMemory : public platform::MappableMemory,
                              public std::enable_shared_from_this<HostMemory> {
 public:
  /// A zeroed, 64-byte aligned buffer that lives as long as the hold.
  Result<Tensor> tensor(const runtime::Shape& shape, runtime::DType dtype);
  /// A buffer that gets host memory when a host looks at it.
  std::shared_ptr<Buffer> intermediate(const runtime::Tensor& like);
  /// A view of memory of the user's, as a view of a buffer: of the one that it lies in, or of a new one,
  /// which lasts as long as its tensors. An error: it lies partly in a buffer that is known. What runs that
  /// have ended still know for a moment does not count: memory that their users have given back comes again
  /// elsewhere. `program` is the one that asks: what it has itself stays.
  Result<Tensor> borrow(const runtime::Tensor& view, std::uint64_t program = 0);

  /// Memory, zeroed when it comes fresh from the system, for who gives it back.
  Result<HostBlock> take(std::uint64_t bytes);

  /// The slab that these bytes lie in, for the process of a chip.
  std::optional<Piece> piece_at(const std::byte* address, std::uint64_t bytes) override;

  /// Mappings that buffers are in.
  std::size_t slabs() const;

 private:
  friend class HostBlock;
  friend class Buffer;
  struct Slab {
    std::shared_ptr<HostRegion> region;
    HoleList free;
  };
  struct Known {
    std::uint64_t bytes = 0;
    std::weak_ptr<Buffer> buffer;
  };
  /// Nothing: `in_the_way` is.
  std::optional<Result<Tensor>> try_borrow(const runtime::Tensor& view, std::weak_ptr<Buffer>& in_the_way);
  Result<std::shared_ptr<HostRegion>> map_slab(std::uint64_t least) const;
  void release(const HostBlock& block);
  /// The buffer there has ended.
  void forget(const std::byte* address);

  const OwnProcess process_;  ///< a child shares the memory, not this record of what is free
  mutable std::mutex mutex_;
  std::vector<Slab> slabs_;
  std::map<std::uint64_t, Known> known_;  ///< by address
  std::condition_variable forgotten_;
  int waiting_ = 0;  ///< for a buffer to be forgotten
};

}  // namespace troupe::actors

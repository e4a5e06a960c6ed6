#pragma once

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

/// The host memory of one node: buffers that users make, and the arenas behind the intermediates of runs.
/// Buffers are blocks of a few slabs, each as large as all before it together up to 1 GiB: a process has few
/// descriptors, so their number grows with the logarithm of the memory and then with its GiB, not with the
/// number of buffers. The memory of what is freed goes back to the system, of small buffers when enough of
/// them lie together. Thread-safe; buffers may outlive it.
class TROUPE_API HostMemory : public std::enable_shared_from_this<HostMemory> {
 public:
  /// A zeroed, 64-byte aligned buffer that lives as long as the hold.
  Result<Tensor> tensor(const runtime::Shape& shape, runtime::DType dtype);

  /// A region of at least `bytes` for one run's arena; used ones are kept for the next run.
  Result<std::shared_ptr<HostRegion>> take_arena(std::uint64_t bytes);
  void give_back_arena(std::shared_ptr<HostRegion> region);

  /// Mappings that buffers are in.
  std::size_t slabs() const;

 private:
  friend class HostHold;
  struct Slab {
    std::shared_ptr<HostRegion> region;
    HoleList free;
  };
  struct Block {
    std::shared_ptr<HostRegion> region;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };
  Result<Block> allocate(std::uint64_t bytes);
  Result<std::shared_ptr<HostRegion>> map_slab(std::uint64_t least) const;
  void release(const Block& block);

  const OwnProcess process_;  ///< a child shares the memory, not this record of what is free
  mutable std::mutex mutex_;
  std::vector<Slab> slabs_;
  std::vector<std::shared_ptr<HostRegion>> arenas_;
};

}  // namespace troupe::actors

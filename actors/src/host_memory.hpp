#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "troupe/actors/tensor.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::actors {

/// One mapping of a memfd: host memory that another process could be given. Pages are reserved when touched.
class HostRegion {
 public:
  static Result<std::shared_ptr<HostRegion>> map(std::uint64_t bytes);
  HostRegion(const HostRegion&) = delete;
  HostRegion& operator=(const HostRegion&) = delete;
  ~HostRegion();

  std::byte* base() const { return base_; }
  std::uint64_t bytes() const { return bytes_; }
  int descriptor() const { return fd_; }

 private:
  HostRegion(std::byte* base, std::uint64_t bytes, int fd) : base_(base), bytes_(bytes), fd_(fd) {}
  std::byte* base_;
  std::uint64_t bytes_;
  int fd_;
};

/// The host memory of one node: buffers that users make, and the arenas behind the intermediates of runs.
/// Thread-safe; buffers may outlive it.
class TROUPE_API HostMemory : public std::enable_shared_from_this<HostMemory> {
 public:
  /// A zeroed, 64-byte aligned buffer that lives as long as the hold.
  Result<Tensor> tensor(const runtime::Shape& shape, runtime::DType dtype);

  /// A region of at least `bytes` for one run's arena; used ones are kept for the next run.
  Result<std::shared_ptr<HostRegion>> take_arena(std::uint64_t bytes);
  void give_back_arena(std::shared_ptr<HostRegion> region);

 private:
  friend class HostHold;
  struct Slab {
    std::shared_ptr<HostRegion> region;
    std::map<std::uint64_t, std::uint64_t> free;  ///< offset → bytes
  };
  struct Block {
    std::shared_ptr<HostRegion> region;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };
  Result<Block> allocate(std::uint64_t bytes);
  void release(const Block& block);

  std::mutex mutex_;
  std::vector<Slab> slabs_;
  std::vector<std::shared_ptr<HostRegion>> arenas_;
};

}  // namespace troupe::actors

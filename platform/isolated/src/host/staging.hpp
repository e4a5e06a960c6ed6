#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "host/pieces.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::isolation {

/// The bytes that a tensor's elements lie between, in host memory.
struct Extent {
  std::uint64_t begin = 0, end = 0;
  bool written = false;
  bool overlaps(const Extent& other) const { return begin < other.end && other.begin < end; }
};
/// None: the view does not fit its buffer, or nothing of it has a place: who runs it refuses it, or does not
/// look at its memory.
std::optional<Extent> extent_of(const troupe_tensor_arg& tensor) noexcept;
bool is_read(const troupe_tensor_arg& tensor) noexcept;
bool is_written(const troupe_tensor_arg& tensor) noexcept;

/// The host tensors of one run that lie in memory which only this process has: copied into memory that both
/// have before the run, and back after it.
struct StagedRun {
  struct Tensor {
    troupe_tensor_arg host;  ///< as it was launched
    std::byte* copy;         ///< of the first byte of its extent
  };
  /// The same memory without what lies in it, for an end that cannot map it.
  struct Part {
    Region region;
    std::byte* base;
    bool read, written;
  };
  std::vector<Tensor> tensors;
  std::vector<Extent> extents;
  std::vector<Part> parts;
  std::uint32_t own_piece = 0;  ///< too large for what all runs share
  std::optional<SharedPages> own = {};
  /// All tensors of a run that has begun to leave, as they are to be sent.
  std::vector<troupe_tensor_arg> placed = {};

  /// What the run has written, into the host's memory. The other end of the link hears meanwhile that this
  /// one is there.
  void copy_back(Link& link) const;
  /// To an end that cannot map the memory: what run `number` reads, and where it writes, as far as there is
  /// room on the link. True: all of it has left; else come again when there is room.
  bool send_along(Link& link, std::uint64_t number);

 private:
  std::size_t parts_sent_ = 0;
  std::uint64_t bytes_sent_ = 0;  ///< of the next part
};

/// The memory that runs share for such tensors: taken one behind the other, and all of it free again when no
/// run has any. Not thread-safe.
class Staging {
 public:
  /// `from`: where it begins in its piece.
  Staging(std::byte* base, std::uint64_t from, std::uint64_t bytes)
      : base_(base), from_(from), bytes_(bytes) {}

  enum class Made : std::uint8_t { done, no_room, refused };
  /// Finds memory for what of the run's tensors lies nowhere else, and copies in what it reads. `tensors`: as
  /// they are to be sent; meanwhile as in `copy_back`. no_room: later, when other runs have ended.
  Made stage(std::span<troupe_tensor_arg> tensors, Link& link, Pieces& pieces, StagedRun& run);
  void unstage(StagedRun& run, Link& link, Pieces& pieces);

 private:
  std::byte* const base_;
  const std::uint64_t from_, bytes_;
  std::uint64_t used_ = 0;
  std::uint32_t users_ = 0;
};

}  // namespace troupe::platform::isolation

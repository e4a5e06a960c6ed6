#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "troupe/runtime/access.hpp"
#include "troupe/runtime/task_args.hpp"
#include "troupe/runtime/tensor.hpp"

namespace troupe::platform::common {

/// What a graph asks of what a replay brings: tensors and numbers as they were when it was made. Immutable
/// once made.
class GraphSlots {
 public:
  struct Slot {
    runtime::Tensor tensor;
    runtime::Tag tag = runtime::Tag::in;
  };
  GraphSlots() = default;
  /// `overlaps_matter`: whether the edges rely on which slots share bytes.
  GraphSlots(std::vector<Slot> tensors, std::vector<std::uint8_t> kinds, bool overlaps_matter = true);

  std::span<const Slot> tensors() const noexcept { return tensors_; }
  std::size_t scalars() const noexcept { return kinds_.size(); }
  /// Why these do not fit, in words; nothing: they do.
  std::optional<std::string> defect(std::span<const Slot> tensors, std::span<const std::uint8_t> kinds) const;
  /// Whether a use of bytes tells of which slot they are: not where two slots that are only read share them.
  bool tells_apart() const noexcept { return overlaps_.read.empty(); }
  /// Whether these share the bytes that they only read as the slots do.
  bool shares_like(std::span<const Slot> tensors) const {
    return overlaps_of(tensors).read == overlaps_.read;
  }

 private:
  /// Two slots that share bytes.
  struct Overlap {
    std::uint32_t first = 0, second = 0;
    std::int64_t distance = 0;  ///< from the first element of one to that of the other
    friend auto operator<=>(const Overlap&, const Overlap&) = default;
  };
  struct Overlaps {
    std::vector<Overlap> written, read;  ///< one of them is written, or none
  };
  static Overlaps overlaps_of(std::span<const Slot> tensors);

  std::vector<Slot> tensors_;
  std::vector<std::uint8_t> kinds_;
  bool overlaps_matter_ = true;
  Overlaps overlaps_;
};

/// Which memory a tensor is in, and where in it its buffer begins: those of arena 0 share one.
inline std::pair<std::uint32_t, std::uint64_t> memory_of(const runtime::BufferRef& buffer) noexcept {
  return {buffer.arena, buffer.arena == 0 ? 0 : buffer.offset};
}
inline std::uint64_t start_of(const runtime::BufferRef& buffer) noexcept {
  return buffer.arena == 0 ? buffer.offset : 0;
}
inline std::uint64_t first_byte_of(const runtime::Tensor& tensor) noexcept {
  return start_of(tensor.buffer()) + tensor.byte_offset();
}

}  // namespace troupe::platform::common

#include "host/staging.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "troupe/runtime/dtype.hpp"
#include "troupe/runtime/limits.hpp"

namespace troupe::platform::isolation {
namespace {

/// A copy lies in such a unit as the host's bytes lie in theirs.
constexpr std::uint64_t unit = 64;

std::uint64_t element_bytes(const troupe_tensor_arg& tensor) noexcept {
  return runtime::size_of(static_cast<runtime::DType>(tensor.dtype));
}

/// Calls `visit(offset, bytes)` for each stretch of a view without gaps, from its first byte on.
template <class Visit>
void each_stretch(const troupe_tensor_arg& tensor, Visit visit) {
  const auto element = element_bytes(tensor);
  std::uint32_t outer = tensor.ndims;
  std::uint64_t together = 1;
  while (outer > 0 && (tensor.shape[outer - 1] == 1 || tensor.strides[outer - 1] == together)) {
    together *= tensor.shape[--outer];
  }
  std::array<std::uint32_t, runtime::limits::max_dims> index{};
  for (;;) {
    std::uint64_t offset = 0;
    for (std::uint32_t dim = 0; dim < outer; ++dim) offset += std::uint64_t{index[dim]} * tensor.strides[dim];
    visit(offset * element, together * element);
    std::uint32_t dim = outer;
    while (dim > 0 && ++index[dim - 1] == tensor.shape[dim - 1]) index[--dim] = 0;
    if (dim == 0) return;
  }
}

std::byte* host_bytes(std::uint64_t address) {
  return reinterpret_cast<std::byte*>(
      static_cast<std::uintptr_t>(address));  // NOLINT(performance-no-int-to-ptr)
}

/// Copies while the thread that serves the link copies, or waits for who does. That may take long: the other
/// end is told all the while that this one is there.
class LongCopy {
 public:
  explicit LongCopy(Link& link) : link_(link) { link_.say_alive(); }
  void copy(std::byte* to, const std::byte* from, std::uint64_t bytes) {
    while (bytes != 0) {
      const auto length = std::min(bytes, between_signs);
      std::memcpy(to, from, static_cast<std::size_t>(length));
      to += length;
      from += length;
      bytes -= length;
      done_ += length + for_a_stretch;
      if (done_ < between_signs) continue;
      done_ = 0;
      link_.say_alive();
    }
  }

 private:
  static constexpr std::uint64_t between_signs = std::uint64_t{4} << 20U;
  /// So many bytes are copied in the time that a stretch takes to begin, where each is on a page of its own.
  static constexpr std::uint64_t for_a_stretch = 1024;

  Link& link_;
  std::uint64_t done_ = 0;  ///< since the last sign
};

}  // namespace

bool is_read(const troupe_tensor_arg& tensor) noexcept {
  return tensor.tag == TROUPE_TAG_IN || tensor.tag == TROUPE_TAG_INOUT || tensor.tag == TROUPE_TAG_NO_DEP;
}

bool is_written(const troupe_tensor_arg& tensor) noexcept {
  return tensor.tag == TROUPE_TAG_OUT || tensor.tag == TROUPE_TAG_INOUT ||
         tensor.tag == TROUPE_TAG_OUT_EXISTING;
}

std::optional<Extent> extent_of(const troupe_tensor_arg& tensor) noexcept {
  const auto element = element_bytes(tensor);
  if (tensor.address_space != TROUPE_SPACE_HOST || tensor.buffer == 0 || element == 0 || tensor.ndims == 0 ||
      tensor.ndims > runtime::limits::max_dims) {
    return std::nullopt;
  }
  __extension__ using Wide = unsigned __int128;
  Wide last = tensor.start_offset;
  for (std::uint32_t dim = 0; dim < tensor.ndims; ++dim) {
    if (tensor.shape[dim] == 0) return std::nullopt;
    last += Wide{tensor.shape[dim] - 1} * tensor.strides[dim];
  }
  const Wide end = (last + 1) * element;
  if (end > tensor.buffer_bytes || end > UINT64_MAX - tensor.buffer) return std::nullopt;
  return Extent{tensor.buffer + tensor.start_offset * element,
                tensor.buffer + static_cast<std::uint64_t>(end), is_written(tensor)};
}

void StagedRun::copy_back(Link& link) const {
  LongCopy copies(link);
  for (const auto& tensor : tensors) {
    if (!is_written(tensor.host)) continue;
    auto* const to = host_bytes(extent_of(tensor.host)->begin);
    each_stretch(tensor.host, [&](std::uint64_t offset, std::uint64_t bytes) {
      copies.copy(to + offset, tensor.copy + offset, bytes);
    });
  }
}

bool StagedRun::send_along(Link& link, std::uint64_t number) {
  if (link.is_local() || parts.empty()) return true;
  Writer words;
  for (; parts_sent_ < parts.size(); ++parts_sent_, bytes_sent_ = 0) {
    const auto& part = parts[parts_sent_];
    while (part.read && bytes_sent_ < part.region.bytes) {
      if (!link.has_room()) return false;
      const auto length = std::min(part_bytes, part.region.bytes - bytes_sent_);
      words.clear();
      words.put(PiecePart{part.region.offset + bytes_sent_, part.region.piece, 0});
      words.raw(part.base + bytes_sent_, static_cast<std::size_t>(length));
      (void)link.send(Kind::fill, 0, words.bytes());
      bytes_sent_ += length;
    }
  }
  words.clear();
  for (const auto& part : parts) {
    if (part.written) words.put(part.region);
  }
  if (!words.bytes().empty()) (void)link.send(Kind::returns, number, words.bytes());
  return true;
}

Staging::Made Staging::stage(std::span<troupe_tensor_arg> tensors, Link& link, Pieces& pieces,
                             StagedRun& run) {
  struct Stretch {
    Extent extent;
    std::uint64_t offset;  // of its copy
  };
  // Views that overlap have one copy together.
  std::vector<Stretch> copies;
  for (const auto& extent : run.extents) copies.push_back({extent, 0});
  std::sort(copies.begin(), copies.end(),
            [](const Stretch& a, const Stretch& b) { return a.extent.begin < b.extent.begin; });
  std::size_t kept = 0;
  for (const auto& next : copies) {
    if (kept != 0 && next.extent.begin < copies[kept - 1].extent.end) {
      copies[kept - 1].extent.end = std::max(copies[kept - 1].extent.end, next.extent.end);
    } else {
      copies[kept++] = next;
    }
  }
  copies.resize(kept);
  std::uint64_t needed = 0;
  for (auto& copy : copies) {
    copy.offset = needed + copy.extent.begin % unit;
    needed = (copy.offset + copy.extent.end - copy.extent.begin + unit - 1) / unit * unit;
  }
  std::byte* base = nullptr;
  std::uint64_t from = 0;
  std::uint32_t piece = staging_piece;
  if (needed > bytes_) {
    auto own = SharedPages::make(static_cast<std::size_t>(needed));
    if (!own) return Made::refused;
    piece = pieces.share(link, *own);
    if (piece == 0) return Made::refused;
    own->close_descriptor();
    base = own->base();
    run.own = *std::move(own);
    run.own_piece = piece;
  } else {
    if (needed > bytes_ - used_) return Made::no_room;
    base = base_ + used_;
    from = from_ + used_;
    used_ += needed;
    ++users_;
  }
  for (const auto& copy : copies) {
    const auto bytes = copy.extent.end - copy.extent.begin;
    run.parts.push_back({{from + copy.offset, bytes, piece, 0}, base + copy.offset, false, false});
  }
  LongCopy copied(link);
  for (auto& tensor : tensors) {
    const auto extent = piece_of(tensor) == 0 ? extent_of(tensor) : std::nullopt;
    if (!extent) continue;
    const auto copy = std::find_if(copies.begin(), copies.end(),
                                   [&](const Stretch& one) { return one.extent.overlaps(*extent); });
    auto& part = run.parts[static_cast<std::size_t>(copy - copies.begin())];
    part.read = part.read || is_read(tensor);
    part.written = part.written || is_written(tensor);
    run.tensors.push_back({tensor, base + copy->offset + (extent->begin - copy->extent.begin)});
    if (is_read(tensor)) {
      const auto* const host = host_bytes(extent->begin);
      each_stretch(tensor, [&](std::uint64_t offset, std::uint64_t bytes) {
        copied.copy(run.tensors.back().copy + offset, host + offset, bytes);
      });
    }
    const auto element = element_bytes(tensor);
    const auto inside = extent->begin - copy->extent.begin;
    // Views of one copy are views of one buffer, as far as their elements lie alike.
    const auto shift = inside % element;
    tensor.buffer = from + copy->offset + shift;
    tensor.buffer_bytes = copy->extent.end - copy->extent.begin - shift;
    tensor.start_offset = inside / element;
    set_piece(tensor, piece);
  }
  return Made::done;
}

void Staging::unstage(StagedRun& run, Link& link, Pieces& pieces) {
  if (run.own_piece != 0) {
    pieces.unshare(link, run.own_piece);
    run.own.reset();
  } else if (--users_ == 0) {
    used_ = 0;
  }
  run = {};
}

}  // namespace troupe::platform::isolation

#pragma once

// One mapped window, and the blob by which a rank offers it to its peers. A Window owns its mapping and,
// until close_memory(), the descriptor. One owner at a time; the bytes are shared with other ranks, which may
// write them at any moment. Blobs come from other processes: decode() and import() check everything.
// Errors are Results, named at each function.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "troupe/comm/environment.hpp"
#include "troupe/comm/file_descriptor.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::comm {

inline constexpr std::uint32_t max_ranks = 64;
/// Every blob has this size.
inline constexpr std::size_t window_blob_bytes = 96;
/// The largest window one rank can ask for; larger requests are `too_large`.
inline constexpr std::uint64_t max_window_bytes = std::uint64_t{1} << 44;
/// So many bytes before and behind every window that is not empty are mapped and zero, and belong to no
/// window: a write past a window can be seen there.
inline constexpr std::size_t window_slack = 64;

/// Names one communication domain on this machine. Never reused: made from 128 random bits, so a window of
/// an earlier or another domain is always told apart.
struct DomainId {
  std::uint64_t high = 0, low = 0;
  friend bool operator==(const DomainId&, const DomainId&) = default;

  /// A fresh id. Errors: system.
  TROUPE_API static Result<DomainId> fresh();
};

/// The facts that all members of a domain agree on, and the rank of this one.
struct WindowSpec {
  DomainId domain;
  std::uint64_t generation = 0;  ///< the domain's epoch; counted by the creator of domains
  std::uint32_t rank = 0;
  std::uint32_t ranks = 1;
  std::uint64_t bytes = 0;  ///< the same for every rank; 0 is a domain that only meets

  friend bool operator==(const WindowSpec&, const WindowSpec&) = default;
};

/// Checks a spec alone: rank, rank count and size. Errors: bad_rank, too_large.
TROUPE_API Result<void> validate(const WindowSpec& spec);

/// A rank's description of its window for its peers: the spec, and where the memory is. Plain bytes that may
/// travel in any message; the layout is in docs/communication.md.
using WindowBlob = std::array<std::byte, window_blob_bytes>;

/// The decoded form of a blob.
struct WindowOffer {
  WindowSpec spec;
  std::uint64_t process = 0;            ///< its maker (pid)
  std::int32_t descriptor = -1;         ///< its number in that process
  std::uint64_t device = 0, inode = 0;  ///< which memory object that is
};

TROUPE_API WindowBlob encode(const WindowOffer& offer);
/// Blobs come from other ranks: everything is checked. Errors: bad_blob, bad_rank, too_large.
TROUPE_API Result<WindowOffer> decode(std::span<const std::byte> blob);

/// One mapping of one rank's window: a header page with the words ranks meet on, then the window itself.
/// The memory is a memfd, sealed against resizing: no later touch can fault. Move-only; unmaps at its end.
class TROUPE_API Window {
 public:
  Window() = default;
  Window(Window&& other) noexcept;
  Window& operator=(Window&& other) noexcept;
  ~Window();

  /// Makes this rank's own window: zeroed, page-aligned, reserved. Errors: validate()'s, no_memory, system.
  static Result<Window> create(const WindowSpec& spec, const Environment& environment);

  /// Maps a peer's window. `expected` is this member's own spec; the peer's must agree in all but the rank.
  /// Errors: bad_blob (no sealed memfd of the right size, or no window in it), stale (another domain or
  /// generation), mismatch (another rank count or size), no_memory, system.
  static Result<Window> import(const WindowSpec& expected, const WindowOffer& offer, FileDescriptor memory);

  bool valid() const noexcept { return mapping_ != nullptr; }
  const WindowSpec& spec() const noexcept { return spec_; }
  std::byte* base() const noexcept;              ///< first byte of the window, 4096-aligned
  struct WindowHeader& header() const noexcept;  ///< private to the comm floor

  /// The offer for this window; only for one that was created here and whose memory is still open.
  Result<WindowOffer> offer() const;
  const FileDescriptor& memory() const noexcept { return memory_; }
  void close_memory() noexcept { memory_.reset(); }

 private:
  WindowSpec spec_;
  void* mapping_ = nullptr;
  std::uint64_t mapped_bytes_ = 0;
  FileDescriptor memory_;
};

}  // namespace troupe::comm

#pragma once

// What a kernel knows about its communication domain; part of the kernel ABI, so the layout never changes.
// The domain (comm::DomainMember, or the platform) owns the context and the windows it points to, and keeps
// both until the domain is released. Kernels on any core may read it.
// Errors: none; an address without a counterpart is answered with 0 or null.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "troupe/runtime/limits.hpp"

namespace troupe::runtime {

/// A kernel's view of its communication domain: its own rank and where each rank's window lies, in addresses
/// that are valid on *this* rank only (the same window has another address on each rank; never ship one).
/// 1056 bytes, shared by host and kernels; the field order is the ABI.
struct CommContext {
  std::uint64_t work_space = 0;
  std::uint64_t work_space_size = 0;
  std::uint32_t rank = 0;
  std::uint32_t rank_count = 0;
  std::uint64_t window_size = 0;                 ///< bytes of each rank's window
  std::uint64_t windows_in[limits::ranks] = {};  ///< each rank's window as this rank sees it
  std::uint64_t windows_out[limits::ranks] =
      {};  ///< the same for writing; mirrors windows_in where they are one

  /// Where `local`, an address inside this rank's own window, has its counterpart in `peer`'s window; 0 when
  /// the peer does not exist or `local` does not lie in the own window.
  constexpr std::uint64_t peer_address(std::uint64_t local, std::uint32_t peer) const noexcept {
    if (peer >= rank_count || rank_count > limits::ranks || rank >= rank_count) return 0;
    const std::uint64_t own = windows_in[rank];
    if (local < own || local - own >= window_size) return 0;
    return windows_in[peer] + (local - own);
  }

  /// The same for a pointer; null where `peer_address` gives 0.
  template <class T>
  T* on_peer(T* local, std::uint32_t peer) const noexcept {
    const auto address = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(local));
    return reinterpret_cast<T*>(static_cast<std::uintptr_t>(peer_address(address, peer)));
  }
};

static_assert(sizeof(CommContext) == 1056 && std::is_trivially_copyable_v<CommContext>);
static_assert(offsetof(CommContext, work_space) == 0 && offsetof(CommContext, work_space_size) == 8);
static_assert(offsetof(CommContext, rank) == 16 && offsetof(CommContext, rank_count) == 20);
static_assert(offsetof(CommContext, window_size) == 24 && offsetof(CommContext, windows_in) == 32);
static_assert(offsetof(CommContext, windows_out) == 544);

}  // namespace troupe::runtime

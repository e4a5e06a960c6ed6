#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "troupe/comm/environment.hpp"
#include "troupe/comm/window.hpp"

namespace troupe::comm {

inline constexpr std::uint64_t window_magic = 0x4e57'4550'554f'5254;  // "TROUPEWN"
inline constexpr std::uint32_t window_version = 2;
inline constexpr std::size_t window_header_bytes = 4096;
inline constexpr std::size_t cache_line = 64;

/// Lets threads sleep until something about a group of words changed. Whoever changes a word looks at
/// `parked`; only when it is not 0 does it bump `event` and wake. Both in one line: it stays shared and clean
/// while nobody parks.
struct EventCount {
  std::atomic<std::uint32_t> event;
  std::atomic<std::uint32_t> parked;
};

/// The first page of every window: what it is (constant once created), then the words ranks meet on, one
/// cache line per writer. The words of `meeting point` are used in rank 0's window only.
struct WindowHeader {
  std::uint64_t magic;
  std::uint32_t version;
  std::uint32_t header_bytes;
  std::uint64_t domain_high, domain_low;
  std::uint64_t generation;
  std::uint32_t rank, ranks;
  std::uint64_t bytes;
  std::uint64_t process;
  Environment::ProcessorSet processors;  ///< where the owner may run

  alignas(cache_line) EventCount inbox;  ///< waits for signal words in this window

  alignas(cache_line) std::atomic<std::uint64_t> arrived;  ///< barriers the owner has entered
  std::atomic<std::uint32_t> departed;                     ///< 1 once the owner is tearing down
  std::atomic<std::uint64_t> gave_up;                      ///< the last barrier the owner has withdrawn from
  std::atomic<std::uint64_t> blamed;     ///< ranks the owner has waited for in vain and not met since,
  std::atomic<std::uint64_t> blamed_at;  ///< at which barrier; 0: elsewhere

  // The meeting point.
  alignas(cache_line) std::atomic<std::uint64_t> arrivals;  ///< barrier entries of all ranks, ever
  alignas(cache_line) EventCount barrier;
  alignas(cache_line) std::atomic<std::uint64_t> revocation;  ///< 0, or why the epoch ended (domain_impl.hpp)
  std::atomic<std::uint64_t> lost;                            ///< ranks known to be gone, one bit each
};

static_assert(sizeof(WindowHeader) + window_slack <= window_header_bytes);
static_assert(offsetof(WindowHeader, processors) == 64 && offsetof(WindowHeader, inbox) == 192);
static_assert(offsetof(WindowHeader, arrived) == 256 && offsetof(WindowHeader, arrivals) == 320);
static_assert(offsetof(WindowHeader, barrier) == 384 && offsetof(WindowHeader, revocation) == 448);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free && sizeof(std::atomic<std::uint64_t>) == 8);
static_assert(std::atomic<std::uint32_t>::is_always_lock_free && sizeof(std::atomic<std::uint32_t>) == 4);

}  // namespace troupe::comm

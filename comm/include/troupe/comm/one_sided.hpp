#pragma once

// Put, get, notify and wait on the windows of a domain, for host code. A OneSided borrows the domain member,
// which must be committed and outlive it. Any number of threads.
// Errors are Results: bad_rank, out_of_bounds and misaligned before anything is touched; waits also deadline,
// peer_lost and aborted.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>

#include "troupe/comm/domain.hpp"
#include "troupe/runtime/compare.hpp"

namespace troupe::comm {

enum class NotifyOp : std::uint8_t { set, add };
using runtime::Compare;

/// One-sided operations of host code on the windows of a committed domain. A light, copyable view: the
/// member must outlive it. Any thread, any number of threads.
///
/// Ordering: everything a rank put before `notify` is visible to each rank that saw the notified value
/// through `wait_until` (release/acquire). `fence` orders plain puts of the caller against its later
/// operations.
///
/// Bounds: `offset` and size are checked against the window (overflow included); signal words must be
/// naturally aligned. After the epoch ended, put and get still work on the mappings, waits return its error.
class TROUPE_API OneSided {
 public:
  /// Signal words are 32 or 64 bits wide, signed or not.
  template <class T>
  static constexpr bool is_signal = std::is_same_v<T, std::int32_t> || std::is_same_v<T, std::uint32_t> ||
                                    std::is_same_v<T, std::int64_t> || std::is_same_v<T, std::uint64_t>;

  explicit OneSided(const DomainMember& member) noexcept : impl_(member.impl_.get()) {}

  /// Copies `data` into the window of `rank`. Errors: bad_rank, out_of_bounds, wrong_state.
  Result<void> put(std::uint32_t rank, std::uint64_t offset, std::span<const std::byte> data) const;
  /// Copies out of the window of `rank`. Errors as put.
  Result<void> get(std::uint32_t rank, std::uint64_t offset, std::span<std::byte> data) const;

  /// Sets or adds to a signal word in the window of `rank` and wakes the threads that wait for it. Errors:
  /// bad_rank, out_of_bounds, misaligned, wrong_state.
  template <class T>
  Result<void> notify(std::uint32_t rank, std::uint64_t offset, NotifyOp op, T value) const;

  /// Waits until the signal word at `offset` in the window of `rank` (usually the own one) compares true with
  /// `value`. Only `notify` wakes a parked waiter; a word changed by plain stores may be seen late.
  /// Errors: bad_rank, out_of_bounds, misaligned, deadline, peer_lost, aborted, wrong_state.
  template <class T>
  Result<void> wait_until(std::uint32_t rank, std::uint64_t offset, Compare compare, T value,
                          Deadline until = never) const;

  /// Looks once: true, false, or why it will never be.
  template <class T>
  Result<bool> test(std::uint32_t rank, std::uint64_t offset, Compare compare, T value) const;

  void fence() const noexcept;

 private:
  Result<std::byte*> reach(std::uint32_t rank, std::uint64_t offset, std::uint64_t size) const;
  template <class T>
  Result<std::atomic<T>*> signal(std::uint32_t rank, std::uint64_t offset) const;

  const DomainMember::Impl* impl_;
};

}  // namespace troupe::comm

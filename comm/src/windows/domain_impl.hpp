#pragma once

#include <array>
#include <atomic>
#include <vector>

#include "troupe/comm/domain.hpp"
#include "troupe/runtime/comm_context.hpp"
#include "windows/layout.hpp"
#include "windows/wait.hpp"

namespace troupe::comm {

/// Why an epoch ended, as the word in shared memory: kind in the low byte, the rank above it; 0 is "it did
/// not". Written once, by compare-exchange.
enum class EndKind : std::uint8_t { none = 0, lost = 1, aborted = 2, left = 3 };

constexpr std::uint64_t end_word(EndKind kind, std::uint32_t rank) {
  return static_cast<std::uint64_t>(kind) | static_cast<std::uint64_t>(rank) << 8U;
}

/// All ranks of a domain of `ranks`.
constexpr RankSet all_ranks(std::uint32_t ranks) {
  return ranks >= max_ranks ? ~RankSet{0} : (RankSet{1} << ranks) - 1;
}
constexpr RankSet rank_bit(std::uint32_t rank) { return RankSet{1} << rank; }

struct DomainMember::Impl {
  WindowSpec spec;
  const Environment* environment = nullptr;
  State state = State::created;
  mutable Patience patience;
  std::array<Window, max_ranks> windows;
  RankSet imported = 0;
  runtime::CommContext context;

  // Hot, after commit.
  std::array<std::byte*, max_ranks> bases{};
  std::array<WindowHeader*, max_ranks> headers{};
  WindowHeader* meeting = nullptr;  ///< rank 0's
  std::uint64_t barriers = 0;       ///< entered by this member
  std::uint64_t passed = 0;         ///< of these, known to be complete
  RankSet blamed = 0;               ///< as in the own header

  /// Why it ended before commit; afterwards the shared word counts.
  std::atomic<std::uint64_t> early_end = 0;

  bool committed() const noexcept { return state == State::committed; }
  WindowHeader& own() const noexcept { return *headers[spec.rank]; }

  bool ended() const noexcept { return meeting->revocation.load(std::memory_order_seq_cst) != 0; }
  void end(EndKind kind, std::uint32_t rank) noexcept;
  void wake_everybody() const noexcept;
  /// The error for the way the epoch ended; only when it has.
  Error why_ended() const;
  bool all_departed() const noexcept;
  RankSet absent(BarrierTicket ticket) const noexcept;
  /// Those of `ranks` that have not been at the barrier, not even to give up and go again.
  RankSet late(BarrierTicket ticket, RankSet ranks) const noexcept;
  /// A deadline passed: this rank has waited for `ranks` in vain. 0: they have come after all.
  void blame(RankSet ranks, BarrierTicket at = 0) noexcept;
};

/// For the sources of this floor that are as hot as OneSided and have checked their bounds once.
struct DomainAccess {
  using Impl = DomainMember::Impl;
  static const Impl& of(const DomainMember& member) noexcept { return *member.impl_; }
  static void blame(DomainMember& member, RankSet ranks) noexcept { member.impl_->blame(ranks); }
};

}  // namespace troupe::comm

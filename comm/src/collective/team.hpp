#pragma once

// How the ranks of a domain keep step while they work on each other's windows.
//
// A workspace of the same offset in every window begins with 64 lines of 64 bytes. Line p of a rank's window
// is written by rank p alone and read by the rank alone: how far p has come, and what p believes is being
// done. Nobody signals itself, so line `self` is free for the rank's own counters. What follows the lines is
// scratch, in two halves that take turns.
//
// Progress only grows: (call number, step). So "p has come at least so far" needs no reset between calls,
// host and kernel forms may take turns on one workspace, and a zeroed window is a valid start.

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace troupe::comm::collective {

inline constexpr std::size_t max_team = 64;
inline constexpr std::uint64_t line_bytes = 64;
inline constexpr std::uint64_t lines_bytes = max_team * line_bytes;

/// 0 is success; anything else comes from the signals or is one of these.
inline constexpr int ok = 0;
inline constexpr int disagreement = -1;  ///< a peer is in another call than this rank
inline constexpr int gave_up = -2;       ///< a peer left the call; its reason is in Team::peer_reason
inline constexpr int broken = -3;        ///< an earlier call on this workspace failed half-way

/// Written by the peer (progress, digest) — or, in a rank's own line, by the rank (the others).
struct Line {
  std::uint64_t progress;
  std::uint64_t digest;
  std::uint64_t calls;    ///< collective calls begun
  std::uint64_t halves;   ///< scratch halves used
  std::uint64_t failure;  ///< not 0: this workspace is out of step
  std::uint64_t awaits;   ///< the rank that was waited for last, plus one
  std::uint64_t awaited;  ///< and its progress that was
  std::uint64_t unused;
};
static_assert(sizeof(Line) == line_bytes);

/// What moves signals and waits for them. `rank`'s word at `offset` of its window; waits are on own words.
template <class S>
concept Signals = requires(S& signals, std::uint32_t rank, std::uint64_t offset, std::uint64_t value) {
  { signals.notify(rank, offset, value) } -> std::same_as<int>;   // release, set
  { signals.wait_at_least(offset, value) } -> std::same_as<int>;  // acquire
};

inline std::uint64_t load(const std::uint64_t& word) noexcept {
  return std::atomic_ref<std::uint64_t>(const_cast<std::uint64_t&>(word)).load(std::memory_order_relaxed);
}
inline void store(std::uint64_t& word, std::uint64_t value) noexcept {
  std::atomic_ref<std::uint64_t>(word).store(value, std::memory_order_relaxed);
}

/// One rank's side of the team. Cheap to make: everything that lasts is in the window.
template <Signals S>
class Team {
 public:
  /// `windows` are the bases of all windows as this rank sees them.
  Team(S& signals, std::uint32_t rank, std::uint32_t ranks, const std::uint64_t* windows,
       std::uint64_t workspace, std::uint64_t workspace_bytes) noexcept
      : signals_(signals),
        windows_(windows),
        workspace_(workspace),
        scratch_bytes_(workspace_bytes > lines_bytes ? workspace_bytes - lines_bytes : 0),
        rank_(rank),
        ranks_(ranks) {}

  std::uint32_t rank() const noexcept { return rank_; }
  std::uint32_t ranks() const noexcept { return ranks_; }

  /// Where `local`, an address in this rank's window, is in the window of `rank`.
  template <class T>
  T* peer(std::uint32_t rank, T* local) const noexcept {
    return reinterpret_cast<T*>(windows_[rank] + (reinterpret_cast<std::uint64_t>(local) - windows_[rank_]));
  }

  /// One of the two halves of the scratch, in this rank's window. A half may be written again two turns
  /// later provided that in every turn all ranks wait for all after the write: whoever is about to write
  /// turn k + 2 has seen every rank in turn k + 1, hence done with turn k.
  std::uint64_t half_bytes() const noexcept { return scratch_bytes_ / 2 / line_bytes * line_bytes; }
  std::byte* next_half() noexcept {
    Line& own = line(rank_, rank_);
    const std::uint64_t turn = load(own.halves);
    store(own.halves, turn + 1);
    return address(rank_, workspace_ + lines_bytes + turn % 2 * half_bytes());
  }

  /// Every collective begins here. `digest` is what all ranks must agree on.
  int begin(std::uint64_t digest) noexcept {
    Line& own = line(rank_, rank_);
    if (load(own.failure) != 0) return broken;
    call_ = load(own.calls) + 1;
    store(own.calls, call_);
    // The call number rides along: a peer may already be one call further when this rank looks.
    digest_ = (digest & ~call_mask) | (call_ & call_mask);
    told_ = checked_ = 0;
    return ok;
  }

  /// Lets `rank` know that this rank has completed `step` (from 1, growing within a call).
  int tell(std::uint32_t rank, std::uint64_t step) noexcept {
    if ((told_ >> rank & 1) == 0) {
      told_ |= std::uint64_t{1} << rank;
      store(line(rank, rank_).digest, digest_);  // published by the notify that follows
    }
    return signals_.notify(rank, line_offset(rank_), progress(step));
  }

  /// Waits until `rank` has told this rank `step` or more.
  int await(std::uint32_t rank, std::uint64_t step) noexcept {
    if (load(line(rank_, rank).progress) < progress(step)) {
      Line& own = line(rank_, rank_);
      store(own.awaits, rank + 1);
      store(own.awaited, progress(step));
    }
    if (const int status = signals_.wait_at_least(line_offset(rank), progress(step)); status != ok) {
      return status;
    }
    if ((checked_ >> rank & 1) != 0 && load(line(rank_, rank).progress) < left) return ok;
    checked_ |= std::uint64_t{1} << rank;
    return check(rank);
  }

  /// All ranks have completed `step`.
  int sync(std::uint64_t step) noexcept {
    for (std::uint32_t i = 1; i < ranks_; ++i) {
      if (const int status = tell((rank_ + i) % ranks_, step); status != ok) return status;
    }
    for (std::uint32_t i = 1; i < ranks_; ++i) {
      if (const int status = await((rank_ + i) % ranks_, step); status != ok) return status;
    }
    return ok;
  }

  /// After a wait for `rank` that did not end in time: whom it waits for in the end. Peers that wait for
  /// others in turn, or have given up because of others, are not to blame.
  std::uint32_t late(std::uint32_t rank) const noexcept {
    for (std::uint32_t hops = 0; hops < ranks_; ++hops) {
      const Line& its = line(rank, rank);
      if (load(its.calls) < call_) return rank;  // it has not come
      const std::uint64_t awaits = load(its.awaits);
      if (awaits == 0 || awaits > ranks_ || awaits == rank + 1) return rank;
      const auto next = static_cast<std::uint32_t>(awaits - 1);
      const std::uint64_t seen = load(line(rank, next).progress);
      if (seen >= left) return blamed_in(seen) < ranks_ ? blamed_in(seen) : next;
      if (next == rank_ || seen >= load(its.awaited)) return rank;  // it has what it needs
      rank = next;
    }
    return rank;
  }

  static constexpr std::uint32_t nobody = ~std::uint32_t{0};

  /// After a failure: this workspace is out of step, here and everywhere. Peers that wait for this rank, now
  /// or later, end with `gave_up`, `reason` and whom this rank has waited for in vain.
  void leave(std::uint32_t reason, std::uint32_t blamed = nobody) noexcept {
    Line& own = line(rank_, rank_);
    if (load(own.failure) != 0) return;
    store(own.failure, reason | 1u << 31);
    for (std::uint32_t i = 1; i < ranks_; ++i) {
      (void)signals_.notify((rank_ + i) % ranks_, line_offset(rank_),
                            left | std::uint64_t{(blamed + 1) & 0x7f} << 32 | reason);
    }
  }

  /// After `gave_up` or `disagreement`: who, and why it left; whom it had waited for, or `nobody`.
  std::uint32_t peer() const noexcept { return peer_; }
  std::uint32_t peer_reason() const noexcept { return peer_reason_; }
  std::uint32_t peer_blamed() const noexcept { return peer_blamed_; }

  /// Back to the state of a zeroed window; only while no rank is in a collective.
  void clear() noexcept {
    for (std::uint32_t r = 0; r < max_team; ++r) {
      Line& each = line(rank_, r);
      for (std::uint64_t* word : {&each.progress, &each.digest, &each.calls, &each.halves, &each.failure,
                                  &each.awaits, &each.awaited}) {
        store(*word, 0);
      }
    }
  }

  std::uint64_t line_offset(std::uint32_t rank) const noexcept { return workspace_ + rank * line_bytes; }

 private:
  static constexpr std::uint64_t call_mask = 0xffffff;
  static constexpr std::uint64_t left = std::uint64_t{1} << 63;

  static std::uint32_t blamed_in(std::uint64_t last_word) noexcept {
    return static_cast<std::uint32_t>(last_word >> 32 & 0x7f) - 1;
  }

  std::uint64_t progress(std::uint64_t step) const noexcept { return call_ << 24 | step; }
  std::byte* address(std::uint32_t rank, std::uint64_t offset) const noexcept {
    return reinterpret_cast<std::byte*>(windows_[rank] + offset);
  }
  Line& line(std::uint32_t window, std::uint32_t writer) const noexcept {
    return *reinterpret_cast<Line*>(address(window, line_offset(writer)));
  }

  int check(std::uint32_t rank) noexcept {
    const Line& theirs = line(rank_, rank);
    if (const std::uint64_t seen = load(theirs.progress); seen >= left) {
      peer_ = rank;
      peer_reason_ = static_cast<std::uint32_t>(seen);
      peer_blamed_ = blamed_in(seen) < ranks_ ? blamed_in(seen) : nobody;
      return gave_up;
    }
    const std::uint64_t digest = load(theirs.digest);
    if ((digest & call_mask) == (digest_ & call_mask) && digest != digest_) {
      peer_ = rank;
      return disagreement;
    }
    return ok;
  }

  S& signals_;
  const std::uint64_t* windows_;
  std::uint64_t workspace_, scratch_bytes_;
  std::uint64_t call_ = 0, digest_ = 0, told_ = 0, checked_ = 0;
  std::uint32_t rank_, ranks_;
  std::uint32_t peer_ = 0, peer_reason_ = 0, peer_blamed_ = nobody;
};

}  // namespace troupe::comm::collective

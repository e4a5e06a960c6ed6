#pragma once

// The collectives for arrays that are not in a window: the bytes pass through the two scratch halves, chunk
// by chunk, with one wait of all for all per chunk. Chunks stay in the caches, so main memory sees each input
// read once and each output written once. `in` and `out` are plain addresses, different on every rank.

#include "collective/algorithms.hpp"

namespace troupe::comm::collective {

/// Two-phase all_reduce as a pipeline: while chunk k is reduced, chunk k+1 is already on its way in.
template <Signals S>
class StagedTwoPhase {
 public:
  StagedTwoPhase(Team<S>& team, const Work& work) noexcept : team_(team), work_(work) {
    // A half holds the staged chunk and, behind it, this rank's part of the result.
    const std::size_t line = line_bytes / work.element();
    const std::size_t lines = std::min(team.half_bytes(), stage_bytes) / line_bytes;
    const std::size_t part = lines / (team.ranks() + 1);
    chunk_ = part * team.ranks() * line;
  }

  /// Whether the scratch is large enough for this form.
  bool possible() const noexcept { return chunk_ != 0; }

  int run() noexcept {
    const std::size_t chunks = (work_.count + chunk_ - 1) / chunk_;
    for (std::size_t k = 0; k <= chunks; ++k) {
      if (k < chunks) copy_in(k);
      if (k > 0) reduce_part(k - 1);
      if (const int status = team_.sync(k + 1); status != ok) return status;
      if (k > 0) copy_out(k - 1);
    }
    return ok;
  }

 private:
  std::size_t count_of(std::size_t chunk) const noexcept {
    return std::min(chunk_, work_.count - chunk * chunk_);
  }
  Span part(std::size_t chunk, std::uint32_t rank) const noexcept {
    return line_parts(count_of(chunk), team_.ranks(), rank, work_.element());
  }
  std::size_t bytes(std::size_t elements) const noexcept { return elements * work_.element(); }
  std::byte* result(std::byte* half) const noexcept { return half + bytes(chunk_); }
  bool streaming() const noexcept { return work_.bytes() >= streaming_bytes; }

  void copy_in(std::size_t chunk) noexcept {
    halves_[chunk % 2] = team_.next_half();
    const std::byte* from = work_.in + bytes(chunk * chunk_);
    // Peers never read this rank's own part: it goes straight into the reduction.
    const Span own = part(chunk, team_.rank());
    const std::size_t after = own.first + own.count;
    copy(halves_[chunk % 2], from, bytes(own.first), false);
    copy(halves_[chunk % 2] + bytes(after), from + bytes(after), bytes(count_of(chunk) - after), false);
  }

  void reduce_part(std::size_t chunk) noexcept {
    std::byte* half = halves_[chunk % 2];
    const Span own = part(chunk, team_.rank());
    const void* sources[max_team];
    for (std::uint32_t r = 0; r < team_.ranks(); ++r) sources[r] = team_.peer(r, half) + bytes(own.first);
    const std::size_t at = bytes(chunk * chunk_ + own.first);
    sources[team_.rank()] = work_.in + at;
    void* targets[] = {result(half), work_.out + at};
    reduce({.dtype = work_.dtype,
            .op = work_.op,
            .count = own.count,
            .sources = sources,
            .n_sources = team_.ranks(),
            .targets = targets,
            .n_targets = streaming() ? 1u : 2u});
    if (streaming()) copy(work_.out + at, result(half), bytes(own.count), true);
  }

  void copy_out(std::size_t chunk) noexcept {
    for (std::uint32_t i = 1; i < team_.ranks(); ++i) {
      const std::uint32_t from = (team_.rank() + i) % team_.ranks();
      const Span theirs = part(chunk, from);
      copy(work_.out + bytes(chunk * chunk_ + theirs.first), team_.peer(from, result(halves_[chunk % 2])),
           bytes(theirs.count), streaming());
    }
  }

  Team<S>& team_;
  const Work& work_;
  std::size_t chunk_;
  std::byte* halves_[2] = {};
};

/// The loop of the others: `fill` puts a chunk into this rank's half, all wait, `drain` takes chunks out of
/// the peers'. Chunk numbers run from 0; there is at least one, so that empty calls still meet.
template <Signals S, class Fill, class Drain>
int staged(Team<S>& team, std::size_t chunks, Fill fill, Drain drain) noexcept {
  for (std::size_t k = 0; k < std::max<std::size_t>(chunks, 1); ++k) {
    std::byte* half = team.next_half();
    if (k < chunks) fill(k, half);
    if (const int status = team.sync(k + 1); status != ok) return status;
    if (k < chunks) drain(k, half);
  }
  return ok;
}

/// What is left of `total` in chunk k of size `chunk`.
constexpr std::size_t piece(std::size_t total, std::size_t chunk, std::size_t k) noexcept {
  return k * chunk < total ? std::min(chunk, total - k * chunk) : 0;
}

/// A ring for every chunk. No rank ends a ring before every rank has begun it, so the halves may take turns.
template <Signals S>
int staged_ring(Team<S>& team, const Work& work, bool both_directions) noexcept {
  const std::size_t chunk = std::min(team.half_bytes(), stage_bytes) / work.element();
  std::uint64_t steps = 0;
  for (std::size_t first = 0; first < work.count || steps == 0; first += chunk) {
    std::byte* half = team.next_half();
    const Work piece_of_work{half, half, std::min(chunk, work.count - first), work.dtype, work.op};
    const std::size_t at = first * work.element();
    copy(half, work.in + at, piece_of_work.bytes(), false);
    Ring ring(team, piece_of_work, both_directions, steps);
    if (const int status = ring.run(); status != ok) return status;
    steps += ring.steps();
    copy(work.out + at, half, piece_of_work.bytes(), work.bytes() >= streaming_bytes);
  }
  return ok;
}

template <Signals S>
int staged_broadcast(Team<S>& team, std::byte* data, std::size_t bytes, std::uint32_t root) noexcept {
  const std::size_t chunk = std::min(team.half_bytes(), stage_bytes);
  return staged(
      team, (bytes + chunk - 1) / chunk,
      [&](std::size_t k, std::byte* half) {
        if (team.rank() == root) copy(half, data + k * chunk, piece(bytes, chunk, k), false);
      },
      [&](std::size_t k, std::byte* half) {
        if (team.rank() == root) return;
        copy(data + k * chunk, team.peer(root, half), piece(bytes, chunk, k), bytes >= streaming_bytes);
      });
}

template <Signals S>
int staged_all_gather(Team<S>& team, const std::byte* in, std::byte* out, std::size_t count,
                      std::size_t element) noexcept {
  const std::size_t chunk = std::min(team.half_bytes(), stage_bytes) / element;
  const std::size_t largest = near_equal(count, team.ranks(), 0).count;
  const auto bytes = [&](std::uint32_t rank, std::size_t k) {
    return piece(near_equal(count, team.ranks(), rank).count, chunk, k) * element;
  };
  return staged(
      team, (largest + chunk - 1) / chunk,
      [&](std::size_t k, std::byte* half) {
        copy(half, in + k * chunk * element, bytes(team.rank(), k), false);
      },
      [&](std::size_t k, std::byte* half) {
        for (std::uint32_t i = 0; i < team.ranks(); ++i) {
          const std::uint32_t from = (team.rank() + i) % team.ranks();
          const std::size_t at = near_equal(count, team.ranks(), from).first + k * chunk;
          copy(out + at * element, team.peer(from, half), bytes(from, k), count * element >= streaming_bytes);
        }
      });
}

/// Chunk k holds a slice of every rank's part, one slot per rank.
template <Signals S>
int staged_reduce_scatter(Team<S>& team, const Work& work) noexcept {
  const std::size_t slot = std::min(team.half_bytes(), stage_bytes) / team.ranks() / line_bytes * line_bytes;
  const std::size_t chunk = slot / work.element();
  const std::size_t largest = near_equal(work.count, team.ranks(), 0).count;
  const auto count = [&](std::uint32_t rank, std::size_t k) {
    return piece(near_equal(work.count, team.ranks(), rank).count, chunk, k);
  };
  const auto own = [&](std::uint32_t rank, std::size_t k) {
    return work.in + (near_equal(work.count, team.ranks(), rank).first + k * chunk) * work.element();
  };
  return staged(
      team, (largest + chunk - 1) / chunk,
      [&](std::size_t k, std::byte* half) {
        for (std::uint32_t r = 0; r < team.ranks(); ++r) {
          if (r != team.rank()) copy(half + r * slot, own(r, k), count(r, k) * work.element(), false);
        }
      },
      [&](std::size_t k, std::byte* half) {
        const void* sources[max_team];
        for (std::uint32_t r = 0; r < team.ranks(); ++r) {
          sources[r] = team.peer(r, half) + team.rank() * slot;
        }
        sources[team.rank()] = own(team.rank(), k);
        void* target = work.out + k * chunk * work.element();
        reduce({.dtype = work.dtype,
                .op = work.op,
                .count = count(team.rank(), k),
                .sources = sources,
                .n_sources = team.ranks(),
                .targets = &target,
                .n_targets = 1});
      });
}

template <Signals S>
int staged_all_to_all(Team<S>& team, const std::byte* in, std::byte* out, std::size_t block_bytes) noexcept {
  const std::size_t slot = std::min(team.half_bytes(), stage_bytes) / team.ranks() / line_bytes * line_bytes;
  return staged(
      team, (block_bytes + slot - 1) / slot,
      [&](std::size_t k, std::byte* half) {
        for (std::uint32_t r = 0; r < team.ranks(); ++r) {
          copy(half + r * slot, in + r * block_bytes + k * slot, piece(block_bytes, slot, k), false);
        }
      },
      [&](std::size_t k, std::byte* half) {
        for (std::uint32_t i = 0; i < team.ranks(); ++i) {
          const std::uint32_t from = (team.rank() + i) % team.ranks();
          copy(out + from * block_bytes + k * slot, team.peer(from, half) + team.rank() * slot,
               piece(block_bytes, slot, k), false);
        }
      });
}

}  // namespace troupe::comm::collective

#pragma once

// The collectives themselves, over a Team and nothing else: host calls and device kernels instantiate the
// same code. "in" and "out" are addresses in this rank's own window at the same offset on every rank; each
// rank reads its peers' windows, and writes into them only where it says so.

#include <algorithm>

#include "collective/reduce.hpp"
#include "collective/team.hpp"

namespace troupe::comm::collective {

struct Span {
  std::size_t first = 0, count = 0;
};

/// Part `index` of `count` elements in `parts` near-equal parts; the first `count % parts` have one more.
constexpr Span near_equal(std::size_t count, std::size_t parts, std::size_t index) noexcept {
  const std::size_t base = count / parts;
  const std::size_t more = count % parts;
  return {index * base + std::min(index, more), base + (index < more ? 1 : 0)};
}

/// The same in whole cache lines, so that two ranks never write one line. Trailing parts may be empty.
constexpr Span line_parts(std::size_t count, std::size_t parts, std::size_t index,
                          std::size_t element_bytes) noexcept {
  const std::size_t line = line_bytes / element_bytes;
  const std::size_t each = ((count + parts - 1) / parts + line - 1) / line * line;
  const std::size_t first = std::min(count, index * each);
  return {first, std::min(each, count - first)};
}

/// What an all_reduce works on.
struct Work {
  const std::byte* in = nullptr;
  std::byte* out = nullptr;
  std::size_t count = 0;
  DType dtype = DType::f32;
  Op op = Op::sum;

  std::size_t element() const noexcept { return runtime::size_of(dtype); }
  std::size_t bytes() const noexcept { return count * element(); }
};

/// Chunks of staged arrays: larger ones leave the second cache level.
inline constexpr std::size_t stage_bytes = std::size_t{512} << 10;

/// From here on results are written around the caches: they no longer fit.
inline constexpr std::size_t streaming_bytes = std::size_t{8} << 20;

/// Every rank reduces everything from copies in the scratch. One wait per chunk; in and out
/// may be anywhere in memory, also the same.
template <Signals S>
int one_phase(Team<S>& team, const Work& work) noexcept {
  const std::size_t chunk = std::min(team.half_bytes(), stage_bytes) / work.element();
  std::uint64_t step = 0;
  for (std::size_t first = 0; first < work.count || step == 0; first += chunk) {
    const std::size_t count = std::min(chunk, work.count - first);
    const std::byte* own = work.in + first * work.element();
    std::byte* half = team.next_half();
    copy(half, own, count * work.element(), false);
    if (const int status = team.sync(++step); status != ok) return status;
    const void* sources[max_team];
    for (std::uint32_t r = 0; r < team.ranks(); ++r) sources[r] = team.peer(r, half);
    sources[team.rank()] = own;
    void* target = work.out + first * work.element();
    reduce({.dtype = work.dtype,
            .op = work.op,
            .count = count,
            .sources = sources,
            .n_sources = team.ranks(),
            .targets = &target,
            .n_targets = 1,
            .streaming = work.in != work.out && work.bytes() >= streaming_bytes});
  }
  return ok;
}

/// Every rank reduces its part of the array straight from all inputs into all outputs: two waits in all, each
/// byte read and written once.
template <Signals S>
int two_phase(Team<S>& team, const Work& work) noexcept {
  if (const int status = team.sync(1); status != ok) return status;
  const Span part = line_parts(work.count, team.ranks(), team.rank(), work.element());
  const void* sources[max_team];
  void* targets[max_team];
  for (std::uint32_t r = 0; r < team.ranks(); ++r) {
    sources[r] = team.peer(r, work.in) + part.first * work.element();
    targets[r] = team.peer(r, work.out) + part.first * work.element();
  }
  reduce({.dtype = work.dtype,
          .op = work.op,
          .count = part.count,
          .sources = sources,
          .n_sources = team.ranks(),
          .targets = targets,
          .n_targets = team.ranks(),
          .streaming = work.in != work.out && work.bytes() >= streaming_bytes});
  return team.sync(2);
}

/// Rings: in 2(n-1) steps each rank reads one part at a time from one neighbour, first partial sums, then
/// finished parts. Signals go between neighbours only. With two directions each carries half of the array.
template <Signals S>
class Ring {
 public:
  /// `base`: steps of the same call that came before; `steps()` more follow.
  Ring(Team<S>& team, const Work& work, bool both_directions, std::uint64_t base = 0) noexcept
      : team_(team), work_(work), base_(base), n_(team.ranks()), both_(both_directions) {}

  std::uint64_t steps() const noexcept { return 2 * n_ - 1; }

  int run() noexcept {
    if (const int status = advance(1); status != ok) return status;
    for (std::uint32_t step = 0; step < 2 * n_ - 2; ++step) {
      if (const int status = forward(step); status != ok) return status;
      if (both_) {
        if (const int status = backward(step); status != ok) return status;
      }
      if (const int status = advance(step + 2); status != ok) return status;
    }
    // Who reads this rank must be done before the caller may touch the array again.
    const std::uint64_t last = base_ + steps();
    if (!both_ && left() != right()) {
      if (const int status = team_.tell(left(), last); status != ok) return status;
    }
    if (const int status = team_.await(right(), last); status != ok) return status;
    return both_ ? team_.await(left(), last) : ok;
  }

 private:
  std::uint32_t left() const noexcept { return (team_.rank() + n_ - 1) % n_; }
  std::uint32_t right() const noexcept { return (team_.rank() + 1) % n_; }

  int advance(std::uint64_t step) noexcept {
    if (const int status = team_.tell(right(), base_ + step); status != ok) return status;
    return both_ && left() != right() ? team_.tell(left(), base_ + step) : ok;
  }

  int forward(std::uint32_t step) noexcept {
    return move(step, left(), (team_.rank() + 2 * n_ - 1 - step) % n_, 0);
  }
  int backward(std::uint32_t step) noexcept { return move(step, right(), (team_.rank() + 1 + step) % n_, 1); }

  int move(std::uint32_t step, std::uint32_t from, std::uint32_t part, std::size_t direction) noexcept {
    if (const int status = team_.await(from, base_ + step + 1); status != ok) return status;
    const Span half = both_ ? line_parts(work_.count, 2, direction, work_.element()) : Span{0, work_.count};
    const Span span = line_parts(half.count, n_, part, work_.element());
    const std::size_t at = (half.first + span.first) * work_.element();
    const std::byte* theirs = team_.peer(from, step == 0 ? work_.in : work_.out) + at;
    std::byte* target = work_.out + at;
    if (step >= n_ - 1) {
      copy(target, theirs, span.count * work_.element(), false);
      return ok;
    }
    const void* sources[] = {theirs, work_.in + at};
    void* targets[] = {target};
    reduce({.dtype = work_.dtype,
            .op = work_.op,
            .count = span.count,
            .sources = sources,
            .n_sources = 2,
            .targets = targets,
            .n_targets = 1});
    return ok;
  }

  Team<S>& team_;
  const Work& work_;
  std::uint64_t base_;
  std::uint32_t n_;
  bool both_;
};

/// in: this rank's near-equal part of `count` elements; out: all of them, in rank order. Null `in`: every
/// rank's part is already in place in its `out`.
template <Signals S>
int all_gather(Team<S>& team, const std::byte* in, std::byte* out, std::size_t count,
               std::size_t element) noexcept {
  if (const int status = team.sync(1); status != ok) return status;
  for (std::uint32_t i = in == nullptr ? 1 : 0; i < team.ranks(); ++i) {
    const std::uint32_t from = (team.rank() + i) % team.ranks();  // not all from the same rank at once
    const Span part = near_equal(count, team.ranks(), from);
    std::byte* target = out + part.first * element;
    copy(target, in != nullptr ? team.peer(from, in) : team.peer(from, target), part.count * element,
         count * element >= streaming_bytes);
  }
  return team.sync(2);
}

/// in: `count` elements; out: this rank's near-equal part of their reduction over all ranks.
template <Signals S>
int reduce_scatter(Team<S>& team, const Work& work) noexcept {
  if (const int status = team.sync(1); status != ok) return status;
  const Span part = near_equal(work.count, team.ranks(), team.rank());
  const void* sources[max_team];
  for (std::uint32_t r = 0; r < team.ranks(); ++r) {
    sources[r] = team.peer(r, work.in) + part.first * work.element();
  }
  void* target = work.out;
  reduce({.dtype = work.dtype,
          .op = work.op,
          .count = part.count,
          .sources = sources,
          .n_sources = team.ranks(),
          .targets = &target,
          .n_targets = 1});
  return team.sync(2);
}

/// Everybody copies from the root, which returns when all have.
template <Signals S>
int broadcast(Team<S>& team, std::byte* data, std::size_t bytes, std::uint32_t root) noexcept {
  if (team.rank() != root) {
    if (const int status = team.await(root, 1); status != ok) return status;
    copy(data, team.peer(root, data), bytes, bytes >= streaming_bytes);
    return team.tell(root, 2);
  }
  for (std::uint32_t i = 1; i < team.ranks(); ++i) {
    if (const int status = team.tell((root + i) % team.ranks(), 1); status != ok) return status;
  }
  for (std::uint32_t i = 1; i < team.ranks(); ++i) {
    if (const int status = team.await((root + i) % team.ranks(), 2); status != ok) return status;
  }
  return ok;
}

/// Block p of `in` goes to block `rank` of `out` on rank p.
template <Signals S>
int all_to_all(Team<S>& team, const std::byte* in, std::byte* out, std::size_t block_bytes) noexcept {
  if (const int status = team.sync(1); status != ok) return status;
  for (std::uint32_t i = 0; i < team.ranks(); ++i) {
    const std::uint32_t from = (team.rank() + i) % team.ranks();
    copy(out + from * block_bytes, team.peer(from, in) + team.rank() * block_bytes, block_bytes,
         team.ranks() * block_bytes >= streaming_bytes);
  }
  return team.sync(2);
}

}  // namespace troupe::comm::collective

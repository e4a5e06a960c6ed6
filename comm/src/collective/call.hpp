#pragma once

// One collective call as all ranks must see it, and how it runs. Shared by host and kernels.

#include "collective/choice.hpp"
#include "collective/staged.hpp"

namespace troupe::comm::collective {

enum class Kind : std::uint8_t { all_reduce = 1, all_gather, reduce_scatter, broadcast, all_to_all, barrier };

struct Call {
  Kind kind = Kind::barrier;
  Algorithm algorithm = Algorithm::automatic;  ///< of an all_reduce
  bool staged = false;                         ///< not in the windows
  bool in_place = false;                       ///< all_gather whose parts are in place
  std::uint32_t root = 0;
  Work work = {};
};

/// What all ranks must agree on, in one word; the low 24 bits are not used by Team.
inline std::uint64_t digest_of(const Call& call, std::uint64_t own_window) noexcept {
  std::uint64_t digest = 0;
  const auto mix = [&](std::uint64_t word) {
    digest = (digest ^ word) * 0x9e3779b97f4a7c15u;
    digest ^= digest >> 29;
  };
  mix(static_cast<std::uint64_t>(call.kind) | static_cast<std::uint64_t>(call.algorithm) << 8 |
      static_cast<std::uint64_t>(call.staged) << 16 | static_cast<std::uint64_t>(call.in_place) << 17 |
      static_cast<std::uint64_t>(call.work.dtype) << 24 | static_cast<std::uint64_t>(call.work.op) << 32);
  mix(call.work.count);
  mix(call.root);
  if (!call.staged && call.kind != Kind::barrier) {
    const auto offset = [&](const std::byte* address) {
      return reinterpret_cast<std::uint64_t>(address) - own_window;
    };
    // Where a rank's own part lies is its own business: only what peers reach into must be at one place.
    const bool in = call.kind != Kind::broadcast && !call.in_place;
    const bool out = call.kind == Kind::all_reduce || call.kind == Kind::broadcast || call.in_place;
    if (in) mix(offset(call.work.in));
    if (out) mix(offset(call.work.out));
  }
  return digest;
}

/// Bytes of scratch per half without which the call cannot run; 0 when it needs none.
inline std::size_t half_bytes_needed(const Call& call, std::uint32_t ranks) noexcept {
  if (ranks == 1) return 0;
  if (call.staged) return (ranks + 1) * line_bytes;
  return call.kind == Kind::all_reduce && call.algorithm == Algorithm::one_phase ? line_bytes : 0;
}

template <Signals S>
int run_all_reduce(Team<S>& team, const Call& call) noexcept {
  const bool both_directions = call.algorithm == Algorithm::bidirectional_ring;
  switch (call.algorithm) {
    case Algorithm::one_phase:
      return one_phase(team, call.work);
    case Algorithm::ring:
    case Algorithm::bidirectional_ring:
      return call.staged ? staged_ring(team, call.work, both_directions)
                         : Ring(team, call.work, both_directions).run();
    default:
      return call.staged ? StagedTwoPhase(team, call.work).run() : two_phase(team, call.work);
  }
}

/// The whole call for more than one rank. `call.algorithm` has been chosen; arguments have been checked.
template <Signals S>
int run(Team<S>& team, const Call& call, std::uint64_t own_window) noexcept {
  if (const int status = team.begin(digest_of(call, own_window)); status != ok) return status;
  const Work& work = call.work;
  switch (call.kind) {
    case Kind::all_reduce:
      return run_all_reduce(team, call);
    case Kind::all_gather:
      if (call.staged) return staged_all_gather(team, work.in, work.out, work.count, work.element());
      return all_gather(team, call.in_place ? nullptr : work.in, work.out, work.count, work.element());
    case Kind::reduce_scatter:
      return call.staged ? staged_reduce_scatter(team, work) : reduce_scatter(team, work);
    case Kind::broadcast:
      return call.staged ? staged_broadcast(team, work.out, work.bytes(), call.root)
                         : broadcast(team, work.out, work.bytes(), call.root);
    case Kind::all_to_all:
      return call.staged ? staged_all_to_all(team, work.in, work.out, work.bytes())
                         : all_to_all(team, work.in, work.out, work.bytes());
    case Kind::barrier:
      return team.sync(1);
  }
  return ok;
}

/// The call of a rank that is alone.
inline void run_alone(const Call& call) noexcept {
  if (call.kind == Kind::barrier || call.kind == Kind::broadcast) return;
  const bool reducing = call.kind == Kind::all_reduce || call.kind == Kind::reduce_scatter;
  // A reduction of one array still passes through the value type, like any other: NaNs come out the same.
  if (!reducing) return copy(call.work.out, call.work.in, call.work.bytes(), false);
  const void* source = call.work.in;
  void* target = call.work.out;
  reduce({.dtype = call.work.dtype,
          .op = call.work.op,
          .count = call.work.count,
          .sources = &source,
          .n_sources = 1,
          .targets = &target,
          .n_targets = 1});
}

}  // namespace troupe::comm::collective

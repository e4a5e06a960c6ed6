#pragma once

// What a troupe_move comes to: its bounds, and one run after the other. For platforms, and for who makes
// moves. Plain functions, which keep nothing.

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "troupe/platform/device_abi.h"
#include "troupe/platform/errc.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform {

/// Whether it is a move at all; what its sides name is not looked at.
inline Result<void> check_move(const troupe_move& move) {
  if (move.ndims > 5) {
    return Error(Errc::invalid_argument, "a move of " + std::to_string(move.ndims) + " dimensions");
  }
  if (move.flags != 0 || move.depends_count != 0 || move.correlation != 0) {
    return Error(Errc::invalid_argument, "a move with a flag, a number or dependencies that mean nothing");
  }
  return {};
}

inline bool moves_nothing(const troupe_move& move) noexcept {
  bool nothing = move.run_bytes == 0;
  for (std::uint32_t d = 0; d < move.ndims; ++d) nothing = nothing || move.extents[d] == 0;
  return nothing;
}

/// From the first byte of a side to behind its last one. Nothing: more than any memory has.
inline std::optional<std::uint64_t> reach_of(const troupe_move& move, const troupe_move_side& side) noexcept {
  std::uint64_t reach = move.run_bytes, step = 0;
  for (std::uint32_t d = 0; d < move.ndims; ++d) {
    if (move.extents[d] == 0) continue;
    if (__builtin_mul_overflow(side.strides[d], std::uint64_t{move.extents[d]} - 1, &step))
      return std::nullopt;
    if (__builtin_add_overflow(reach, step, &reach)) return std::nullopt;
  }
  if (side.address + reach < side.address) return std::nullopt;
  return reach;
}

/// Calls `visit(from, to, bytes)`, with addresses, for each run until one fails. Runs that follow each other
/// on both sides are one.
template <class Visit>
Result<void> for_each_run_of(const troupe_move& move, Visit visit) {
  if (moves_nothing(move)) return {};
  auto ndims = move.ndims;
  auto run = move.run_bytes;
  for (; ndims > 0; --ndims) {
    const auto extent = move.extents[ndims - 1];
    if (extent == 1) continue;
    if (move.from.strides[ndims - 1] != run || move.to.strides[ndims - 1] != run) break;
    run *= extent;
  }
  std::array<std::uint32_t, 5> at{};
  auto from = move.from.address, to = move.to.address;
  for (;;) {
    if (Result<void> done = visit(from, to, run); !done) return done;
    auto d = ndims;
    for (; d > 0; --d) {
      from += move.from.strides[d - 1];
      to += move.to.strides[d - 1];
      if (++at[d - 1] < move.extents[d - 1]) break;
      from -= move.from.strides[d - 1] * at[d - 1];
      to -= move.to.strides[d - 1] * at[d - 1];
      at[d - 1] = 0;
    }
    if (d == 0) return {};
  }
}

}  // namespace troupe::platform

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "common.hpp"
#include "memory/memory.hpp"
#include "troupe/runtime/error.hpp"
#include "troupe/runtime/task_args.hpp"

namespace troupe::platform::sim {

/// The first argument next to whose memory something was written, those that may be written before the
/// others: what lies around an input is more likely another one's doing. `look(i)`: what was written next to
/// argument i.
template <class Look>
std::optional<std::pair<std::uint32_t, Overstep>> first_overstep(const runtime::Tag* tags,
                                                                 std::uint32_t count, Look look) {
  for (const bool writes : {true, false}) {
    for (std::uint32_t i = 0; i < count; ++i) {
      if (runtime::writes(tags[i]) != writes) continue;
      if (const std::optional<Overstep> found = look(i)) return std::pair(i, *found);
    }
  }
  return std::nullopt;
}

/// "kernel 'k' wrote past the end of tensor 1: byte 1 behind it". `who`: "kernel 'k'", or who else it may
/// have been.
Error overstepped(const std::string& who, std::uint32_t tensor, const Overstep& what);

}  // namespace troupe::platform::sim

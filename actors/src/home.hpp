#pragma once

#include "troupe/actors/domain_spec.hpp"
#include "troupe/actors/submission.hpp"

namespace troupe::actors {

/// The chip of a node that has a device-resident argument; -1: none of its chips has. Where it runs is then
/// no choice any more.
inline std::int32_t home_of(const Arguments& args, std::uint32_t node) {
  for (const auto& arg : args.tensors) {
    if (const auto chip = chip_with_arena(node, arg.tensor.buffer().arena); chip >= 0) return chip;
  }
  return -1;
}

}  // namespace troupe::actors

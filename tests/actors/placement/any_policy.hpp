#pragma once

// A policy for random programs: where their tasks go must not change what they compute.
#include <cstddef>
#include <cstdint>
#include <random>
#include <span>

#include "troupe/actors/placing.hpp"

namespace troupe::test {

/// None for two seeds of six, one of those that ship, or chips at random.
inline actors::PlacementPolicy any_policy(std::uint64_t seed) {
  switch (seed % 6) {
    case 0:
      return actors::earliest_finish;
    case 1:
      return actors::least_loaded;
    case 2:
      return actors::where_the_data_is;
    case 3:
      return [random = std::mt19937_64(seed)](const actors::TaskToPlace&,
                                              std::span<const actors::ChipForTask> chips) mutable {
        return static_cast<std::size_t>(random() % chips.size());
      };
    default:
      return {};
  }
}

}  // namespace troupe::test

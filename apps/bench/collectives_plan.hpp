#pragma once

// What comm_collectives.cpp and its OpenMPI peer must do alike: sizes, repetitions, numbers.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace troupe::bench {

inline std::vector<std::size_t> sizes_up_to(std::size_t largest) {
  std::vector<std::size_t> sizes;
  for (std::size_t bytes = 4096; bytes <= largest; bytes *= 4) sizes.push_back(bytes);
  return sizes;
}

/// How many calls between two looks at the clock, and how many such samples.
struct Plan {
  int batch, samples;
};
inline Plan plan(std::size_t bytes) {
  if (bytes <= 65536) return {500, 15};
  if (bytes <= (1 << 20)) return {50, 11};
  return bytes <= (16 << 20) ? Plan{5, 7} : Plan{1, 5};
}

/// Small integers: their sums are exact in any order.
inline float input_value(std::uint32_t rank, std::size_t index) {
  return static_cast<float>((index * 7 + rank * 13) % 1000);
}
inline float expected_value(std::uint32_t ranks, std::size_t index) {
  float sum = 0;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) sum += input_value(rank, index);
  return sum;
}

}  // namespace troupe::bench

#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace troupe::test {

/// How many random cases a suite runs: `base` times TROUPE_RANDOM_SCALE (1 in CI, large in ./dev soak).
/// This one variable sizes every random suite.
inline std::uint64_t cases(std::uint64_t base) {
  const char* scale =
      std::getenv("TROUPE_RANDOM_SCALE");  // NOLINT(concurrency-mt-unsafe): read-only in tests
  return scale != nullptr ? base * std::strtoull(scale, nullptr, 10) : base;
}

/// The first seed of a random suite: TROUPE_SEED replays one case, otherwise `fallback`.
inline std::uint64_t first_seed(std::uint64_t fallback = 1) {
  const char* seed = std::getenv("TROUPE_SEED");  // NOLINT(concurrency-mt-unsafe): read-only in tests
  return seed != nullptr ? std::strtoull(seed, nullptr, 10) : fallback;
}

}  // namespace troupe::test

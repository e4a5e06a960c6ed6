#pragma once

#include <cstdint>
#include <cstdlib>
#include <string>

namespace troupe::test {

inline const char* environment(const char* name) {
  return std::getenv(name);  // NOLINT(concurrency-mt-unsafe): read-only in tests
}

/// How many random cases a suite runs: `base` times TROUPE_RANDOM_SCALE (1 in CI, large in ./dev soak).
/// This one variable sizes every random suite.
inline std::uint64_t cases(std::uint64_t base) {
  const char* scale = environment("TROUPE_RANDOM_SCALE");
  return scale != nullptr ? base * std::strtoull(scale, nullptr, 10) : base;
}

/// The first seed of a random suite: TROUPE_SEED, otherwise `fallback`.
inline std::uint64_t first_seed(std::uint64_t fallback = 1) {
  const char* seed = environment("TROUPE_SEED");
  return seed != nullptr ? std::strtoull(seed, nullptr, 10) : fallback;
}

/// The same number, for suites that give each case a seed of its own, from first_seed() on: TROUPE_SEED alone
/// replays that one case; with TROUPE_RANDOM_SCALE the suite runs on from there.
inline std::uint64_t seeds(std::uint64_t base) {
  const bool replay = environment("TROUPE_SEED") != nullptr && environment("TROUPE_RANDOM_SCALE") == nullptr;
  return replay ? 1 : cases(base);
}

}  // namespace troupe::test

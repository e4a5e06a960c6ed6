#pragma once

#include <cstdint>
#include <string_view>

namespace troupe::platform::sim {

/// Everything in which one simulated platform differs from another. A plugin is built from these sources with
/// exactly one definition of `architecture`.
struct Architecture {
  std::string_view name;
  std::uint32_t clusters;           ///< one AIC and two AIV cores each
  std::uint32_t max_aicpu_threads;  ///< upper bound of CallConfig's thread number
  std::uint64_t memory_bytes;       ///< device memory
  std::uint64_t counter_hz;         ///< frequency of the system counter
  std::uint32_t aic_l0a_bytes, aic_l0b_bytes, aic_l0c_bytes, aic_l1_bytes;
  std::uint32_t aiv_ub_bytes;

  constexpr std::uint32_t cores() const noexcept { return clusters * 3; }
};

extern const Architecture architecture;

}  // namespace troupe::platform::sim

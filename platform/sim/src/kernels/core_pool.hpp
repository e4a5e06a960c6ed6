#pragma once

#include <bit>
#include <cstdint>

#include "arch.hpp"
#include "troupe/platform/chip_program_abi.h"

namespace troupe::platform::sim {

/// Which cores of the clusters in use are free. One owner at a time.
class CorePool {
 public:
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  void reset(std::uint32_t clusters) noexcept {
    const std::uint64_t all = (std::uint64_t{1} << clusters) - 1;
    free_[TROUPE_CHIP_AIC] = free_[TROUPE_CHIP_AIV0] = free_[TROUPE_CHIP_AIV1] = all;
    clusters_ = clusters;
  }
  std::uint32_t clusters() const noexcept { return clusters_; }

  /// A free core as `cluster * 4 + lane`, now taken; none when all are busy.
  std::uint32_t take_aic() noexcept { return take(TROUPE_CHIP_AIC); }
  std::uint32_t take_aiv() noexcept {
    const std::uint32_t first = take(TROUPE_CHIP_AIV0);
    return first != none ? first : take(TROUPE_CHIP_AIV1);
  }
  /// A wholly idle cluster; the caller takes its cores with take_lane().
  std::uint32_t idle_cluster() const noexcept {
    const std::uint64_t idle = free_[0] & free_[1] & free_[2];
    return idle == 0 ? none : static_cast<std::uint32_t>(std::countr_zero(idle));
  }
  void take_lane(std::uint32_t cluster, std::uint32_t lane) noexcept {
    free_[lane] &= ~(std::uint64_t{1} << cluster);
  }
  void give_back(std::uint32_t cluster, std::uint32_t lane) noexcept {
    free_[lane] |= std::uint64_t{1} << cluster;
  }

  bool has_aic() const noexcept { return free_[TROUPE_CHIP_AIC] != 0; }
  bool has_aiv() const noexcept { return (free_[TROUPE_CHIP_AIV0] | free_[TROUPE_CHIP_AIV1]) != 0; }
  std::uint32_t free_aics() const noexcept { return static_cast<std::uint32_t>(std::popcount(free_[0])); }
  std::uint32_t free_aivs() const noexcept {
    return static_cast<std::uint32_t>(std::popcount(free_[1]) + std::popcount(free_[2]));
  }
  std::uint32_t idle_clusters() const noexcept {
    return static_cast<std::uint32_t>(std::popcount(free_[0] & free_[1] & free_[2]));
  }

 private:
  std::uint32_t take(std::uint32_t lane) noexcept {
    if (free_[lane] == 0) return none;
    const auto cluster = static_cast<std::uint32_t>(std::countr_zero(free_[lane]));
    take_lane(cluster, lane);
    return cluster * 4 + lane;
  }

  std::uint64_t free_[3]{};
  std::uint32_t clusters_ = 0;
};

}  // namespace troupe::platform::sim

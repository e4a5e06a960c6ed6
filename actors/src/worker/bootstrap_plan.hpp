#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "troupe/actors/domain_spec.hpp"
#include "troupe/comm/bootstrap_config.hpp"
#include "troupe/comm/host_segment.hpp"

namespace troupe::actors {

/// What the bring-up of a worker's chips needs beyond the chips themselves: which of them form which
/// communicator, where their buffers go, what is staged. Everything that can be known is checked before any
/// chip is touched. Plain state.
class TROUPE_API BootstrapPlan {
 public:
  /// The chips of one communicator: those whose configs name the same meeting place.
  struct Group {
    std::string meeting;
    std::vector<std::int32_t> chips;  ///< executor numbers, by rank
    std::uint64_t window_bytes = 0;
    std::map<std::string, std::pair<std::uint64_t, std::uint64_t>, std::less<>> buffers;  ///< all ranks alike
  };
  /// A buffer of a chip, and the shared memory on its two sides.
  struct Buffer {
    std::string name;
    std::uint64_t offset = 0, bytes = 0;
    std::shared_ptr<const comm::HostSegment> input, output;  ///< null: none, or nothing to copy
  };
  struct ChipPlan {
    comm::ChipBootstrapConfig config;
    std::int32_t device_id = 0;
    std::int32_t group = -1;  ///< -1: no communicator
    std::vector<Buffer> buffers;
  };
  struct Refusal {
    std::int32_t chip = -1;
    Error error;
  };

  /// `chips`: executor number and device number of each chip, in the order of the configs.
  static std::optional<Refusal> make(const std::vector<comm::ChipBootstrapConfig>& configs,
                                     const std::vector<std::pair<std::int32_t, std::int32_t>>& chips,
                                     BootstrapPlan& plan);

  const std::vector<Group>& groups() const { return groups_; }
  /// Null: the chip comes up plain.
  const ChipPlan* chip(std::int32_t index) const {
    const auto known = chips_.find(index);
    return known == chips_.end() ? nullptr : &known->second;
  }
  const std::map<std::int32_t, ChipPlan>& chips() const { return chips_; }
  /// The chip's record once its window is there; `rank` null: it has no communicator. An error when the
  /// window that was given is smaller than what was asked for and does not hold the buffers.
  Result<comm::ChipContext> context(std::int32_t chip, const RankInfo* rank) const;

 private:
  std::map<std::int32_t, ChipPlan> chips_;
  std::vector<Group> groups_;
};

}  // namespace troupe::actors

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace troupe::actors {

/// Arena numbers in buffer references: 0 is host memory; an intermediate's symbolic reference never leaves
/// its run; the memory of a node's chip `index` has this one, its generation is the chip's incarnation.
constexpr std::uint32_t first_device_arena = 1000;
constexpr std::uint32_t device_arena(std::int32_t chip) {
  return first_device_arena + static_cast<std::uint32_t>(chip);
}

/// `{"scratch", 4_MiB}`: a named piece of every rank's window, 64-byte aligned, in the order given.
struct DomainBuffer {
  std::string name = {};
  std::uint64_t bytes = 0;
};

/// A communication domain to form: rank i is `chips[i]`. Its pieces must fit the window.
struct DomainSpec {
  std::vector<int> chips = {};
  std::uint64_t window = 0;  ///< bytes per rank; 0: as much as the buffers need
  std::vector<DomainBuffer> buffers = {};
};

/// One rank of a domain that has been formed. Addresses are the chip's.
struct RankInfo {
  std::int32_t chip = -1;
  std::uint32_t arena = 0;        ///< of the chip's memory in buffer references
  std::uint32_t incarnation = 0;  ///< generation in buffer references
  std::uint64_t context = 0;      ///< address of its CommContext
  std::uint64_t base = 0;         ///< its own window
  std::uint64_t bytes = 0;
};

struct DomainInfo {
  std::uint64_t id = 0;
  std::uint64_t epoch = 0;
  std::vector<RankInfo> ranks;
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>, std::less<>> buffers;  ///< offset, bytes
};

}  // namespace troupe::actors

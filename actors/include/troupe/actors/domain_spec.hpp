#pragma once

// The specification of a domain, the facts of one that was formed, and the arena numbers of device memory.
// Plain values and pure functions, safe on any thread, without errors. A DomainSpec is checked where it is
// used.

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace troupe::actors {

/// Arena numbers in buffer references: 0 is host memory; an intermediate's symbolic reference never leaves
/// its run; the memory of a chip has this one, made of its node's number in the system (which no other node
/// of it ever has) and its own number there. Its generation says which life of the chip, and for windows
/// which domain: memory of a new domain has nothing to do with that of one before it, wherever it lies.
constexpr std::uint32_t first_device_arena = 1000;
constexpr std::uint32_t arenas_of_a_node = 1U << 14U;
constexpr std::uint32_t device_arena(std::uint32_t node, std::int32_t chip) {
  return first_device_arena + node * arenas_of_a_node + static_cast<std::uint32_t>(chip);
}
/// Neither host memory nor an intermediate.
constexpr bool is_device_arena(std::uint32_t arena) {
  return arena >= first_device_arena && arena < 0xFFFF'FFFD;
}
/// The chip of that node whose memory it is; -1: no chip of that node.
constexpr std::int32_t chip_with_arena(std::uint32_t node, std::uint32_t arena) {
  if (!is_device_arena(arena) || (arena - first_device_arena) / arenas_of_a_node != node) return -1;
  return static_cast<std::int32_t>((arena - first_device_arena) % arenas_of_a_node);
}
constexpr std::uint32_t device_generation(std::uint32_t incarnation, std::uint64_t domain = 0) {
  return (incarnation & 0xFFFFU) | (static_cast<std::uint32_t>(domain) & 0xFFFFU) << 16U;
}
constexpr bool of_life(std::uint32_t generation, std::uint32_t incarnation) {
  return (generation & 0xFFFFU) == (incarnation & 0xFFFFU);
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
  std::uint32_t arena = 0;       ///< of the chip's memory in buffer references
  std::uint32_t generation = 0;  ///< in buffer references
  std::uint64_t context = 0;     ///< address of its CommContext
  std::uint64_t base = 0;        ///< its own window
  std::uint64_t bytes = 0;
};

struct DomainInfo {
  std::uint64_t id = 0;
  std::uint64_t epoch = 0;
  std::vector<RankInfo> ranks;
  std::shared_ptr<const void> system = nullptr;  ///< the System that these numbers belong to
  std::map<std::string, std::pair<std::uint64_t, std::uint64_t>, std::less<>> buffers;  ///< offset, bytes
};

}  // namespace troupe::actors

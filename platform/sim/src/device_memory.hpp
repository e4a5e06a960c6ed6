#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "address_range.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::sim {

/// Numbers about a device's memory, in bytes and pieces.
struct MemoryStatistics {
  std::uint64_t capacity = 0;
  std::uint64_t in_use = 0;
  std::uint64_t peak = 0;
  std::uint64_t internal = 0;  ///< of the chip itself: copies of arguments, intermediates; not part of in_use
  std::uint64_t window_bytes = 0;
  std::uint64_t live_allocations = 0;
  std::uint64_t total_allocations = 0;
};

/// The memory of one simulated chip: address ranges of its own, a size limit, and a table of everything
/// handed out. Every allocation ends in a guard page; addresses of freed ones fault and are not reused soon,
/// so that use after free is told apart from an address that never was this chip's. Address space is reserved
/// when it is needed, so that thousands of chips find room in one process. Safe from any thread.
class DeviceMemory {
 public:
  explicit DeviceMemory(std::size_t capacity) { statistics_.capacity = capacity; }

  /// Whether the host has so much left: a simulated chip's memory is the host's, which promises more than
  /// there is and kills who uses it. To be asked for all of what is used only later together.
  static Result<void> host_has(std::size_t size, std::string_view label);

  /// Zeroed, 4096-byte aligned. `label` says in maps and errors what it is for. Out of memory is an error
  /// that carries the memory map.
  Result<std::uint64_t> allocate(std::size_t size, std::string_view label) {
    return allocate(size, label, Owner::user);
  }
  /// The same for the chip's own use. Such memory is no valid argument of `release` or `check`.
  Result<std::uint64_t> allocate_internal(std::size_t size, std::string_view label) {
    return allocate(size, label, Owner::chip);
  }
  void release_internal(std::uint64_t address) noexcept;
  /// Names double frees, foreign addresses, interior addresses, and a write past the end of the allocation.
  Result<void> release(std::uint64_t address);

  /// Is [address, address + size) inside one live allocation or window slice? `what` names the user's thing
  /// in the error ("tensor 2 of kernel 'add'").
  Result<void> check(std::uint64_t address, std::size_t size, std::string_view what) const;

  /// Whether `address` lies in the user's allocation that starts at `start`.
  bool same_allocation(std::uint64_t start, std::uint64_t address) const;

  /// Window slices live outside the range but belong to the chip.
  void add_window(std::uint64_t address, std::size_t size, std::string_view name);
  void remove_window(std::uint64_t address);

  MemoryStatistics statistics() const;
  /// One line per live allocation, largest first, at most `lines` of them.
  std::string map(std::size_t lines = 16) const;
  /// Labels and sizes of what is still allocated.
  std::vector<std::string> live() const;

 private:
  enum class Owner : std::uint8_t { user, chip, window };
  struct Piece {
    std::size_t size;
    std::string label;
    Owner owner;
  };
  using Pieces = std::map<std::uint64_t, Piece>;

  Result<std::uint64_t> allocate(std::size_t size, std::string_view label, Owner owner);
  bool reserve(std::size_t size);
  std::uint64_t find_space(std::size_t size);
  std::uint64_t& account(Owner owner) noexcept;
  Result<void> take_out(Pieces::iterator piece);
  const Pieces::value_type* piece_at(const Pieces& pieces, std::uint64_t address) const;
  Error stray(std::uint64_t address, std::size_t size, std::string_view what) const;
  std::string map_locked(std::size_t lines) const;

  mutable std::mutex mutex_;
  std::vector<AddressRange> ranges_;
  Pieces live_;
  Pieces freed_;  ///< what used to be at addresses not handed out again yet
  std::deque<std::uint64_t> freed_order_;
  std::map<std::uint64_t, std::size_t> gaps_;  ///< free address space, coalesced
  std::uint64_t cursor_ = 0;                   ///< next fit: the place after the last allocation
  MemoryStatistics statistics_;
};

}  // namespace troupe::platform::sim

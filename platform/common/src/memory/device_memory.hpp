#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "memory/address_range.hpp"
#include "memory/guard_zone.hpp"
#include "memory/memory_source.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::common {

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

/// How the chip's own memory may differ from the user's.
struct MemoryForm {
  std::size_t shift = 0;  ///< less than a page: where in a page it begins
  std::size_t room = 0;   ///< bytes behind it that do not count: space between parts of it
};

/// The memory of one chip. Unless it has another source, it is memory of the host: address ranges of its own,
/// a size limit, and a table of everything handed out. Every allocation ends in a guard page; addresses of
/// freed ones fault and are not reused soon, so that use after free is told apart from an address that never
/// was this chip's. Address space is reserved when it is needed, so that thousands of chips find room in one
/// process. Safe from any thread.
///
/// `checked`: every allocation lies between guards, which tell what was written next to it.
class DeviceMemory {
 public:
  explicit DeviceMemory(std::size_t capacity, bool checked = false) : checked_(checked) {
    statistics_.capacity = capacity;
  }
  /// Of a device: neither zeroed nor guarded, and addresses may come again at once.
  DeviceMemory(std::size_t capacity, MemorySource& source) : checked_(false), source_(&source) {
    statistics_.capacity = capacity;
  }

  /// Gives a source back what is left.
  ~DeviceMemory();
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  /// Whether the host has so much left, which promises more than there is and kills who uses it. To be asked
  /// for all of what is used only later together.
  static Result<void> host_has(std::size_t size, std::string_view label);

  /// Zeroed, 4096-byte aligned. `label` says in maps and errors what it is for. Out of memory is an error
  /// that carries the memory map.
  Result<std::uint64_t> allocate(std::size_t size, std::string_view label) {
    return allocate(size, label, Owner::user);
  }
  /// The same for the chip's own use. Such memory is no valid argument of `release` or `check`.
  Result<std::uint64_t> allocate_internal(std::size_t size, std::string_view label, MemoryForm form = {}) {
    return allocate(size, label, Owner::chip, form);
  }
  void release_internal(std::uint64_t address) noexcept;
  /// Names double frees, foreign addresses, interior addresses, and a write past the end of the allocation.
  Result<void> release(std::uint64_t address);

  /// Is [address, address + size) inside one live allocation or window slice? `what` names the user's thing
  /// in the error ("tensor 2 of kernel 'add'").
  Result<void> check(std::uint64_t address, std::size_t size, std::string_view what) const;
  bool has(std::uint64_t address, std::size_t size) const;

  /// Whether `address` lies in the user's allocation that starts at `start`.
  bool same_allocation(std::uint64_t start, std::uint64_t address) const;

  /// On a checked chip: what was written next to the allocation or window slice that [address, address +
  /// size) lies in (of a window also: next to these bytes), since it was made or last asked for.
  std::optional<Overstep> take_overstep(std::uint64_t address, std::uint64_t size);
  /// Stretches inside an allocation of the chip's own that nobody may write either.
  void set_gaps(std::uint64_t address, std::vector<GuardZone> gaps);
  /// Whether both lie in the same one.
  bool same_piece(std::uint64_t address, std::uint64_t other) const;
  bool is_window(std::uint64_t address) const;

  /// Window slices live outside the range but belong to the chip. Around one lie `comm::window_slack` bytes
  /// that are nobody's, and inside it perhaps `gaps`.
  void add_window(std::uint64_t address, std::size_t size, std::string_view name,
                  std::vector<GuardZone> gaps = {});
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
    std::size_t lead = 0;   ///< from the first mapped byte to the first that is used
    std::size_t whole = 0;  ///< mapped bytes; 0: a window, which others have mapped
    std::vector<GuardZone> gaps = {};
  };
  using Pieces = std::map<std::uint64_t, Piece>;

  Result<std::uint64_t> allocate(std::size_t size, std::string_view label, Owner owner) {
    return allocate(size, label, owner, {});
  }
  Result<std::uint64_t> allocate(std::size_t size, std::string_view label, Owner owner, MemoryForm form);
  GuardZone zone_before(const Pieces::value_type& piece) const;
  static GuardZone zone_behind(const Pieces::value_type& piece);
  bool reserve(std::size_t size);
  std::uint64_t find_space(std::size_t size);
  Result<std::uint64_t> take(std::size_t size, std::size_t whole, std::string_view label);
  void give_back(std::uint64_t begin, std::size_t whole);
  void forget_freed(std::uint64_t address, std::size_t size);
  std::uint64_t& account(Owner owner) noexcept;
  Result<void> take_out(Pieces::iterator piece);
  const Pieces::value_type* piece_at(const Pieces& pieces, std::uint64_t address) const;
  Error stray(std::uint64_t address, std::size_t size, std::string_view what) const;
  std::string map_locked(std::size_t lines) const;

  const bool checked_;
  MemorySource* const source_ = nullptr;
  mutable std::mutex mutex_;
  std::vector<AddressRange> ranges_;
  Pieces live_;
  Pieces freed_;  ///< what used to be at addresses not handed out again yet
  std::deque<std::uint64_t> freed_order_;
  std::map<std::uint64_t, std::size_t> gaps_;  ///< free address space, coalesced
  std::uint64_t cursor_ = 0;                   ///< next fit: the place after the last allocation
  MemoryStatistics statistics_;
};

}  // namespace troupe::platform::common

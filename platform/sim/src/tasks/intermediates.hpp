#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "common.hpp"
#include "memory/memory.hpp"
#include "troupe/runtime/kernel_abi.hpp"
#include "troupe/runtime/task_graph.hpp"

namespace troupe::platform::sim {

/// The memory of what the tasks of a run make for each other. The graph decides where in an arena one lies;
/// here is the memory behind the arenas, which stays from run to run, and what has to be known of each
/// intermediate. With the baton.
///
/// On a checked chip every block is followed by as much room, in which its guards lie and those of the next.
class Intermediates {
 public:
  Intermediates(DeviceMemory& memory, std::uint64_t arena_bytes, bool checked)
      : memory_(memory), arena_bytes_(arena_bytes), checked_(checked) {}

  /// Of a run. `graph` must stay until the next begin, or not be asked for any more.
  /// An arena that is smaller than such a run needs goes first.
  void begin(runtime::TaskGraph& graph, std::uint64_t arena_bytes) noexcept {
    graph_ = &graph;
    if (arena_bytes > arena_bytes_) grow(arena_bytes);
    made_.clear();
    for (auto& places : places_) places.clear();
  }

  /// A new one, in the scope that the program is in.
  Result<runtime::BufferRef> make(std::uint64_t bytes);

  /// The task it was made for.
  std::uint64_t owner_of(const runtime::BufferRef& buffer) const noexcept {
    return buffer.arena != 0 && buffer.offset < made_.size() ? made_[buffer.offset].owner : runtime::no_owner;
  }
  void own(const runtime::BufferRef& buffer, std::uint64_t task) noexcept {
    made_[buffer.offset].owner = task;
  }

  /// Where it lies; 0: it has no memory, or (then `refusal` says so) the chip has none for its arena.
  std::uint64_t address_of(const runtime::BufferRef& buffer, std::optional<Error>& refusal) {
    const auto placed = graph_->placement(buffer);
    return placed ? address_in_arena(*placed, refusal) : 0;
  }
  /// The same, for a task that is about to use it: on a checked chip its memory is poisoned before the first.
  std::uint64_t place(const runtime::BufferRef& buffer, std::optional<Error>& refusal) {
    const auto placed = graph_->placement(buffer);
    const std::uint64_t address = placed ? address_in_arena(*placed, refusal) : 0;
    if (checked_ && address != 0) poison(made_[buffer.offset], address, *placed);
    return address;
  }

  /// For programs that know them by address: where it lies, as place(), and found by at() from now on.
  std::uint64_t locate(const runtime::BufferRef& buffer, std::optional<Error>& refusal);
  struct Located {
    runtime::BufferRef buffer;
    std::uint64_t address = 0, bytes = 0;
  };
  /// The one that was located at or around this address, and still is there.
  std::optional<Located> at(std::uint64_t address) const;

  /// On a checked chip: what was written next to the one that lies at `address`, since the last look.
  std::optional<Overstep> take_overstep(const runtime::BufferRef& buffer, std::uint64_t address);

 private:
  struct Made {
    std::uint64_t owner = runtime::no_owner;
    std::uint64_t bytes = 0;
    bool fresh = true;  ///< no task has used its memory yet
  };
  std::uint64_t address_in_arena(const runtime::Placement& placed, std::optional<Error>& refusal) {
    std::uint64_t& base = arenas_[placed.arena];
    if (base == 0) base = allocate_arena(refusal);
    return base != 0 ? base + placed.offset * (checked_ ? 2 : 1) : 0;
  }
  /// Where blocks begin in an arena; most questions are for exactly such an address.
  class Places {
   public:
    void clear() noexcept;
    void set(std::size_t block, const runtime::BufferRef& buffer);
    /// A block's, or the next one below it that has been set; and which.
    const runtime::BufferRef* at_or_below(std::size_t& block) const noexcept;

   private:
    std::vector<runtime::BufferRef> all_;
    std::vector<std::size_t> used_;
  };
  std::uint64_t block_distance() const noexcept {
    return runtime::limits::block_alignment * (checked_ ? 2 : 1);
  }
  std::uint64_t allocate_arena(std::optional<Error>& refusal);
  void grow(std::uint64_t arena_bytes) noexcept;
  static void poison(Made& made, std::uint64_t address, const runtime::Placement& placed);

  DeviceMemory& memory_;
  std::uint64_t arena_bytes_;  ///< of each; the most that a run has asked for
  const bool checked_;
  std::array<std::uint64_t, runtime::limits::arenas> arenas_{};  ///< addresses; 0: not needed so far
  runtime::TaskGraph* graph_ = nullptr;
  std::vector<Made> made_;  ///< by number of the intermediate
  /// Those that were located, by address, of each arena. What has gone stays until another one takes its
  /// place.
  std::array<Places, runtime::limits::arenas> places_;
};

}  // namespace troupe::platform::sim

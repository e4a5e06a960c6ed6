#pragma once

#include <array>
#include <cstdint>

#include "common.hpp"
#include "threads/threads.hpp"
#include "troupe/runtime/limits.hpp"

namespace troupe::platform::sim {

/// What a callable says of the graphs of its runs, for each scope depth; 0: as the chip was set up.
struct RingSizes {
  std::uint64_t task_window[runtime::limits::arenas];
  std::uint64_t heap[runtime::limits::arenas];
  std::uint64_t dependency_pool[runtime::limits::arenas];
};

/// What bounds a graph on the chip. The environment can change it (PTO2_RING_TASK_WINDOW, PTO2_RING_HEAP,
/// PTO2_RING_DEP_POOL), by one number, or by four, one for each arena; a value that makes no sense is ignored
/// with a warning.
struct GraphLimits {
  template <class T>
  using PerArena = std::array<T, runtime::limits::arenas>;

  std::uint32_t task_window = runtime::limits::task_window;  ///< the largest of the windows
  std::uint64_t arena_bytes = runtime::limits::arena_bytes;  ///< and of the arenas
  PerArena<std::uint64_t> windows{};
  PerArena<std::uint64_t> arenas{};
  std::uint32_t dependency_pool = 0;  ///< 0: no limit

  static GraphLimits from_environment(const HostServices& host, std::uint64_t device_memory);
  /// These, but for what a callable says itself; an error names what makes no sense.
  Result<GraphLimits> with(const RingSizes& rings) const;
};

}  // namespace troupe::platform::sim

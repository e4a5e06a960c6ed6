#pragma once

#include <array>
#include <cstdint>

#include "common.hpp"
#include "threads/threads.hpp"
#include "troupe/runtime/limits.hpp"

namespace troupe::platform::sim {

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
};

}  // namespace troupe::platform::sim

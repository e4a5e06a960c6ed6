#pragma once

#include <cstdint>

#include "common.hpp"
#include "threads/threads.hpp"
#include "troupe/runtime/limits.hpp"

namespace troupe::platform::sim {

/// What bounds a graph on the chip, per arena. The environment can change it (PTO2_RING_TASK_WINDOW,
/// PTO2_RING_HEAP, PTO2_RING_DEP_POOL); a value that makes no sense is ignored with a warning.
struct GraphLimits {
  std::uint32_t task_window = runtime::limits::task_window;
  std::uint64_t arena_bytes = runtime::limits::arena_bytes;
  std::uint32_t dependency_pool = 0;  ///< 0: no limit

  static GraphLimits from_environment(const HostServices& host, std::uint64_t device_memory);
};

}  // namespace troupe::platform::sim

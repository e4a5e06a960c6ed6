#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>

#include "arch.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::sim {

/// What set_device_option can change.
struct Options {
  std::chrono::milliseconds grace{1000};                   ///< grace_ms
  std::uint64_t memory_bytes = architecture.memory_bytes;  ///< memory_bytes: a lower limit
  /// checked (0 or 1): guards around every argument, outputs poisoned first, inputs compared after. On in
  /// debug builds.
#ifdef TROUPE_CHECKED
  bool checked = true;
#else
  bool checked = false;
#endif
  /// workers: threads that run kernels which need not run together; 0: as many as the host has processors.
  std::uint32_t workers = 0;
  /// several_communicators (0 or 1): comm_init works while another session of the context is live.
  bool several_communicators = false;

  /// The error says which name or value is not understood.
  Result<void> set(std::string_view name, std::string_view value);
};

}  // namespace troupe::platform::sim

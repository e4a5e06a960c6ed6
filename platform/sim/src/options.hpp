#pragma once

#include <cstdint>
#include <string_view>

#include "arch.hpp"
#include "chip_options.hpp"
#include "common.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::sim {

/// What set_device_option can change.
struct Options : ChipOptions {
  Options() { memory_bytes = architecture.memory_bytes; }
  /// workers: threads that run kernels which need not run together; 0: as many as the host has processors.
  std::uint32_t workers = 0;

  /// The error says which name or value is not understood.
  Result<void> set(std::string_view name, std::string_view value);
};

}  // namespace troupe::platform::sim

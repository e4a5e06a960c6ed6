#pragma once

#include <cstdint>

#include "troupe/platform/chip_program_abi.h"

namespace troupe::platform::sim {

/// The functions a chip program calls; their `self` is the ChipEngine.
troupe_chip_ops_v1 chip_ops(std::uint32_t chip_runtime) noexcept;

}  // namespace troupe::platform::sim

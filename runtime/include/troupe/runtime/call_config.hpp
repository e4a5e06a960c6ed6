#pragma once

// How a chip runs one callable. A plain 12-byte value that owns nothing, safe on any thread. A value from a
// user is checked with validate() before it is used: invalid_call_config names the wrong field.

#include <cstdint>
#include <type_traits>

#include "troupe/runtime/errc.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::runtime {

/// How a chip runs one callable: the part of the machine it gets, and what is recorded. 12 bytes, crosses the
/// device ABI as it is; there the two flags are bytes that must be 0 or 1.
struct CallConfig {
  std::int32_t block_dim = 24;        ///< clusters to use
  std::int32_t aicpu_thread_num = 3;  ///< on-chip scheduler threads
  bool enable_profiling = false;      ///< record when each kernel was dispatched, started and ended
  bool enable_dump_tensor = false;    ///< record the contents of tensors before and after each kernel
  std::uint8_t reserved[2] = {};      ///< zero

  friend bool operator==(const CallConfig&, const CallConfig&) noexcept = default;
};

static_assert(sizeof(CallConfig) == 12 && std::is_trivially_copyable_v<CallConfig>);

/// The largest values that a chip accepts; the defaults serve where the chip is not known yet.
struct CallConfigLimits {
  std::int32_t block_dim = 4096;
  std::int32_t aicpu_thread_num = 64;
};

/// `invalid_call_config`, naming the field, its value and what is allowed.
[[nodiscard]] TROUPE_API Result<void> validate(const CallConfig& config, const CallConfigLimits& limits = {});

}  // namespace troupe::runtime

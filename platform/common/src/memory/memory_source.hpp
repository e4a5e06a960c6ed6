#pragma once

#include <cstddef>
#include <cstdint>

#include "troupe/runtime/result.hpp"

namespace troupe::platform::common {

/// Where the memory of a chip comes from when it is not memory of the host. Any thread.
class MemorySource {
 public:
  virtual ~MemorySource() = default;
  /// At least 64-byte aligned, with no content that could be relied on.
  virtual Result<std::uint64_t> take(std::size_t size) = 0;
  virtual void give_back(std::uint64_t address, std::size_t size) noexcept = 0;
};

}  // namespace troupe::platform::common

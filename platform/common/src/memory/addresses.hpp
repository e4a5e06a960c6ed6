#pragma once

#include <cstdint>

namespace troupe::platform::common {

/// The ABI, descriptors and the graph's cookies carry addresses as numbers; this is the way back.
template <class T = void>
T* pointer(std::uint64_t address) noexcept {
  return reinterpret_cast<T*>(address);  // NOLINT(performance-no-int-to-ptr): the number was a pointer
}

}  // namespace troupe::platform::common

#include "chip/chip.hpp"

#include <string>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::common {

Error Platform::no_device() const { return Error(Errc::no_such_device, "this platform has no device"); }

Result<void> Chip::release_window(std::uint64_t window) {
  return Error(Errc::unknown_window, "this chip has no window " + std::to_string(window));
}

}  // namespace troupe::platform::common

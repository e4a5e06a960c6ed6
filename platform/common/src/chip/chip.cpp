#include "chip/chip.hpp"

#include <string>

#include "troupe/platform/errc.hpp"

namespace troupe::platform::common {

Error Platform::no_device() const { return Error(Errc::no_such_device, "this platform has no device"); }

namespace {
Error no_graphs() {
  return {Errc::unsupported, "this chip takes no graphs", "launch the tasks of the graph as runs"};
}
}  // namespace

Result<std::uint64_t> Chip::add_graph(const troupe_graph& /*graph*/) { return no_graphs(); }
Result<void> Chip::launch_graph(const troupe_run& /*run*/, std::uint64_t /*settled*/) { return no_graphs(); }

Result<void> Chip::release_window(std::uint64_t window) {
  return Error(Errc::unknown_window, "this chip has no window " + std::to_string(window));
}

}  // namespace troupe::platform::common

#pragma once

#include "troupe/platform/device_abi.h"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::common {

/// Whether a graph that a host describes is one: its lists are there and add up, its views lie in their slots
/// and write none that is only read, its producers come first. Callables are not looked at.
Result<void> check_graph(const troupe_graph& graph);

}  // namespace troupe::platform::common

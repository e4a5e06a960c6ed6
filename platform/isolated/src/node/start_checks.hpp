#pragma once

#include <string>

#include "troupe/platform/nodes.hpp"

namespace troupe::platform::isolation {

/// Whether a node with these options can serve anybody: whoever starts it is to hear that it cannot, and not
/// its guests. Starts the process of a chip for a moment. `library`: the platform's path.
Result<void> can_serve(const NodeOptions& options, const std::string& library);

}  // namespace troupe::platform::isolation

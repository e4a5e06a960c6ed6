#pragma once

// Border of the room: a table of the device ABI whose contexts are elsewhere; the process of a chip.

#include <memory>

#include "host/context.hpp"

namespace troupe::platform::isolation {

DeviceApi table_for(std::shared_ptr<const Settings> settings);

}  // namespace troupe::platform::isolation

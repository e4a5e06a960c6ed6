#pragma once

// Border of the room: a table of the device ABI whose contexts have a process each.

#include <memory>

#include "host/context.hpp"

namespace troupe::platform::isolation {

DeviceApi table_for(std::shared_ptr<const Settings> settings);

}  // namespace troupe::platform::isolation

#pragma once

// The border of the room: what lies where on a chip, and who may touch it; windows are memory that peers see.
#include "memory/address_range.hpp"
#include "memory/addresses.hpp"
#include "memory/device_memory.hpp"
#include "memory/memory_source.hpp"
#include "memory/movable_memory.hpp"
#include "memory/window_set.hpp"

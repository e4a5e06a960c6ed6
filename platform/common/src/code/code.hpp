#pragma once

// The border of the room: the callables that a chip knows, and code that comes as bytes.
#include "code/callables.hpp"
#include "code/host_object.hpp"

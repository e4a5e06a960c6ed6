#pragma once

// The border of the room: what exported functions are wrapped in. Most of them are here; a platform may add
// to them.
#include "border/abi_guard.hpp"

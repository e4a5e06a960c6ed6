#pragma once

// The border of the room `orchestration`: code that comes as bytes, also programs of another system.
#include "orchestration/load_code.hpp"

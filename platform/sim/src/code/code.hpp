#pragma once

// The border of the room: the callables that a chip knows, and the objects that they came in.
#include "code/callables.hpp"

#pragma once

// The border of the room: what plans are made of, and how a recording becomes one.
#include "plan/bundle.hpp"
#include "plan/compile.hpp"
#include "plan/image.hpp"

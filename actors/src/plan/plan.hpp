#pragma once

// The border of the room: what plans are made of, how a recording becomes one, and what files have of them.
#include "plan/bundle.hpp"
#include "plan/compile.hpp"
#include "plan/image.hpp"
#include "plan/saved.hpp"

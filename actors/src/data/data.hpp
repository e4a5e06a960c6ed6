#pragma once

// The border of the room: the bytes behind tensors, and where the newest of them are.
#include "data/buffer.hpp"
#include "data/buffer_use.hpp"
#include "data/directory.hpp"
#include "data/host_memory.hpp"
#include "data/node_link.hpp"
#include "data/packing.hpp"
#include "data/run_hold.hpp"

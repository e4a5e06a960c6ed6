#pragma once

// The border of the room: one call of one kernel, what it may see and write, and how it waits.
#include "kernels/core_board.hpp"
#include "kernels/core_pool.hpp"
#include "kernels/deferred.hpp"
#include "kernels/foreign_kernel.hpp"
#include "kernels/input_check.hpp"
#include "kernels/kernel_call.hpp"
#include "kernels/oversteps.hpp"
#include "kernels/pipes.hpp"

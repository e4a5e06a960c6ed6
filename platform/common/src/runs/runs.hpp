#pragma once

// The border of the room: runs as they were launched, the queue that they go through, arguments in and
// outputs back.
#include "runs/delivery.hpp"
#include "runs/failed_runs.hpp"
#include "runs/graph.hpp"
#include "runs/graph_slots.hpp"
#include "runs/run.hpp"
#include "runs/run_queue.hpp"
#include "runs/staging.hpp"
#include "runs/tensors.hpp"

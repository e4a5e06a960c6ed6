#pragma once

// The border of the room `tasks`: what an on-chip task is, and what has to be known of it.
#include "tasks/described_task.hpp"
#include "tasks/graph_limits.hpp"
#include "tasks/intermediates.hpp"
#include "tasks/kernel_table.hpp"
#include "tasks/pace.hpp"
#include "tasks/packed_tensor.hpp"
#include "tasks/task_builder.hpp"
#include "tasks/task_checks.hpp"
#include "tasks/task_record.hpp"
#include "tasks/task_traces.hpp"

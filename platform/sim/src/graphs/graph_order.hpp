#pragma once

#include "graphs/chip_graph.hpp"

namespace troupe::platform::sim {

/// Puts the steps of a graph, and what they are made of, into the order in which one thread would take them:
/// a replay then reads memory forwards, where it would jump through all of it otherwise.
void lay_out_as_ready(ChipGraph& graph);

}  // namespace troupe::platform::sim

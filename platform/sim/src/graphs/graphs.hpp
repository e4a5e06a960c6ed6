#pragma once

// The border of the room `graphs`: tasks whose edges are known before they run, and replays of them.
#include "graphs/chip_graph.hpp"
#include "graphs/graph_book.hpp"
#include "graphs/graph_maker.hpp"
#include "graphs/graph_recorder.hpp"
#include "graphs/graph_replay.hpp"
#include "graphs/graph_replays.hpp"
#include "graphs/launched_graph.hpp"

#pragma once

// Border of the room: what a node does with its chips.

#include "node/relay.hpp"

#pragma once

// Border of the room: sockets between machines, and who is at their other end.

#include "net/address.hpp"
#include "net/secure.hpp"

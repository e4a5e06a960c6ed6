#pragma once

// The border of the room: threads and services that the host lends, and how a thread sleeps until it is
// woken.
#include "threads/core_threads.hpp"
#include "threads/futex.hpp"
#include "threads/host_services.hpp"

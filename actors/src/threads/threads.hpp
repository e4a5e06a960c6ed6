#pragma once

// The border of the room: what the rooms above may use of it. How actors share threads, how a caller's own
// thread takes part while it waits, what actors get from their system, and how they owe answers.
#include "threads/hot_first.hpp"
#include "threads/own_process.hpp"
#include "threads/pump.hpp"
#include "threads/replies.hpp"
#include "threads/scheduling.hpp"
#include "threads/services.hpp"
#include "threads/timer.hpp"

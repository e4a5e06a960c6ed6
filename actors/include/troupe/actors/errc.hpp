#pragma once

// The error codes of this floor (3000 to 3999) and their names. The numbers are stable. docs/contributing.md
// says what else a new code touches.

#include <cstdint>
#include <string_view>

#include "troupe/runtime/error.hpp"

namespace troupe::actors {

/// The errors of nodes and of the levels above them. Errors from below (a device, a window, a descriptor)
/// keep their own code and appear as such or as the cause.
enum class Errc : std::int32_t {
  // A task or what it depends on.
  task_failed = 3001,        ///< a task ended with an error; the cause says which
  poisoned = 3002,           ///< not run: something it depends on failed; the cause is that failure
  cancelled = 3003,          ///< cancelled by the user or because its run ended
  deadline_exceeded = 3004,  ///< given up because the user's deadline passed
  function_failed = 3005,    ///< a host function threw; the message names it
  deadlock = 3006,           ///< nothing runs, nothing is ready, something waits; the message says for what
  // A chip or a node.
  chip_lost = 3020,         ///< the chip died or was quarantined while it held the task
  data_lost = 3021,         ///< a device-resident tensor died with its chip
  chip_retired = 3022,      ///< the chip was restarted too often and is no longer used
  node_failed = 3023,       ///< a node gave up: its supervisor's restart limit is reached
  bootstrap_failed = 3024,  ///< bring-up of the chips failed: `chip {i} bootstrap failed: …`
  shut_down = 3025,         ///< the system (or the node) is going down or gone
  // A request that cannot be right.
  bad_argument = 3040,           ///< the message names the argument
  unknown_callable = 3041,       ///< nothing loaded has this name
  no_such_chip = 3042,           ///< the node has no executor of this number
  group_too_large = 3043,        ///< more members than the node can ever run together
  retry_refused = 3044,          ///< retry of a task with inout tensors that is not declared idempotent
  blocking_in_coroutine = 3045,  ///< a blocking call inside a coroutine; use the co_await form
  submit_overrun = 3046,         ///< a coroutine submitted far past its limit without ever awaiting
  wrong_state = 3047,            ///< the object's life cycle does not allow this call now
  wrong_program = 3048,          ///< an object of one program used in another, or after its program ended
  out_of_memory = 3049,          ///< no host memory for a buffer
  out_of_threads = 3050,         ///< the machine gives no thread for something; the hint names the limit
  // The world outside.
  cannot_write = 3060,  ///< a file or folder that cannot be made or filled; the message says why
  cannot_read = 3061,   ///< a file that is not there, or may not be read
};

/// The stable name, e.g. "chip_lost".
TROUPE_API std::string_view error_name(Errc code);

}  // namespace troupe::actors

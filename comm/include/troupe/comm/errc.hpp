#pragma once

// The error codes of this floor (1000 to 1999) and their names. The numbers are stable: they cross the
// platform border as bare integers. docs/contributing.md says what else a new code touches.

#include <cstdint>
#include <string_view>

#include "troupe/runtime/export.hpp"

namespace troupe::comm {

/// The errors of windows, ranks and their meetings.
enum class Errc : std::int32_t {
  bad_argument = 1000,   ///< a null, empty or contradictory argument
  bad_rank = 1001,       ///< a rank outside [0, ranks), or more than 64 ranks
  out_of_bounds = 1002,  ///< a one-sided operation reaches outside the window
  misaligned = 1003,     ///< a signal word that is not naturally aligned
  too_large = 1004,      ///< sizes whose sum overflows or exceeds what can be mapped
  no_memory = 1005,      ///< the machine (or a limit) has no room for the window
  wrong_state = 1006,    ///< the call does not fit the state, e.g. commit before every import
  already_live = 1007,   ///< the context already has a live communicator
  mismatch = 1008,       ///< ranks disagree about rank count, window size or their numbers
  stale = 1009,          ///< a blob, a window or a peer of another domain or generation
  foreign_peer = 1010,   ///< the peer belongs to another user
  bad_blob = 1011,       ///< bytes that are no window blob, message or mailbox of this version
  peer_lost = 1012,      ///< a rank of the domain died or left; the domain is revoked
  aborted = 1013,        ///< a rank gave the domain up; the domain is revoked
  deadline = 1014,       ///< a rank that is alive did not come in time; the domain stays usable
  system = 1015,         ///< the operating system refused; the message has its words
  unsupported = 1016,    ///< an element type, operation or size that is not implemented
  bad_config = 1017,     ///< a configuration or environment value that cannot be used
  name_taken = 1018,     ///< a shared-memory name chosen by the user is in use by another owner
  not_found = 1019,      ///< no shared memory under that name
  chip_failed = 1020,    ///< a chip reported that it could not come up
};

/// The stable name of a code, e.g. "peer_lost"; "unknown" for a value that is none.
[[nodiscard]] TROUPE_API std::string_view error_name(Errc code) noexcept;

}  // namespace troupe::comm

#pragma once

// A sentence for errors about missing threads. Reads the process's limits during the call; safe on any
// thread, never fails.

#include <string>

#include "troupe/runtime/export.hpp"

namespace troupe::comm {

/// For errors about a thread that could not be started: the limits on the number of threads here, with their
/// values, and what to do about them.
[[nodiscard]] TROUPE_API std::string threads_hint();

}  // namespace troupe::comm

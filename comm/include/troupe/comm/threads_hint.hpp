#pragma once

// Sentences for errors about missing threads, memory and descriptors. They read the process's limits during
// the call; safe on any thread, never fail.

#include <string>

#include "troupe/runtime/export.hpp"

namespace troupe::comm {

/// For errors about a thread that could not be started: the limits on the number of threads here, with their
/// values, and what to do about them.
[[nodiscard]] TROUPE_API std::string threads_hint();

/// For errors of the system, by their number: the limit of this process that was met, with its value, and
/// what to do about it. Empty when no limit is known that explains it.
[[nodiscard]] TROUPE_API std::string limit_hint(int problem);

}  // namespace troupe::comm

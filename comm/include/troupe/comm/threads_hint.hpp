#pragma once

#include <string>

#include "troupe/runtime/export.hpp"

namespace troupe::comm {

/// For errors of who got no thread: what limits their number here, with its value, and what to do about it.
[[nodiscard]] TROUPE_API std::string threads_hint();

}  // namespace troupe::comm

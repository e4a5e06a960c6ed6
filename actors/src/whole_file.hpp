#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "troupe/runtime/result.hpp"

namespace troupe::actors {

/// Writes a file beside its place and moves it there: a reader sees what was there before or all of
/// it, also when this process is killed meanwhile. `what` is for the error ("the plan to \"x.tplan\"").
Result<void> write_whole_file(const std::string& file, const std::string& what,
                              std::span<const std::byte> bytes);

}  // namespace troupe::actors

#pragma once

#include <istream>
#include <string>

#include "troupe/actors/trace.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::apps {

/// Reads a file that `troupe run --trace` wrote. Whatever else the file holds is an error that says what and
/// where, never a crash: a trace may come from anywhere. `name` is how errors call the input.
[[nodiscard]] Result<actors::Trace> read_trace(std::istream& in, const std::string& name);
[[nodiscard]] Result<actors::Trace> read_trace_file(const std::string& path);

}  // namespace troupe::apps

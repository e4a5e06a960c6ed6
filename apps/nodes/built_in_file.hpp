#pragma once

#include <string>

namespace troupe::apps {

/// The module of the built-in programs as a file, which other processes load, too; empty: it is not
/// installed.
std::string built_in_file();

}  // namespace troupe::apps

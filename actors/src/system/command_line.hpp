#pragma once

#include <span>
#include <string_view>

#include "troupe/actors/config.hpp"

namespace troupe::actors {

/// What `System{argc, argv}` was asked for: settings of the system, and the node that `System::node()` makes.
struct CommandLine {
  SystemConfig system;
  NodeConfig node;
};

/// Reads `--name value` and `--name=value`. What does not begin with `--`, what stands behind `--`, and the
/// options that `own` names are the program's own and left alone; any other option is refused. `--config
/// FILE` names a file of lines `name = value`, which the command line overrides; there every name has to be
/// one of the settings. A setting that one of the two gives twice is refused. Throws `bad_argument` naming
/// argument, or file and line.
CommandLine read_command_line(int argc, const char* const* argv, std::span<const std::string_view> own = {});

}  // namespace troupe::actors

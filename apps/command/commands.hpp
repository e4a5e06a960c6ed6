#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "command/cli.hpp"

namespace troupe::apps {

/// Where a command writes. `err` gets what is for people; `out` what is for files and pipes.
struct Console {
  std::ostream& out;
  std::ostream& err;
  bool terminal = false;  ///< `err` is one: progress may rewrite its line
  int log_level = 2;
};

/// Whether standard error is a terminal on which a line can be written over (`TERM=dumb` cannot).
bool can_rewrite_lines();

/// Each does one command and answers an Exit.
int execute(const RunCommand& command, Console& console);
int execute(const ProgramHelpCommand& command, Console& console);
int execute(const ListCommand& command, Console& console);
int execute(const DevicesCommand& command, Console& console);
int execute(const ScenesCommand& command, Console& console);
int execute(const NodeCommand& command, Console& console);
int execute(const PodCommand& command, Console& console);
int execute(const CertsCommand& command, Console& console);
int execute(const VersionCommand& command, Console& console);
int execute(const TraceSummaryCommand& command, Console& console);
int execute(const TraceHtmlCommand& command, Console& console);
int execute(const TraceGraphCommand& command, Console& console);
int execute(const TraceSwimlaneCommand& command, Console& console);
int execute(const DumpCommand& command, Console& console);
int execute(const HelpCommand& command, Console& console);
int execute(const CompletionCommand& command, Console& console);
int execute(const CompleteCommand& command, Console& console);

/// The names of the platforms whose libraries are found; none of them is opened.
std::vector<std::string> platform_names();

/// Parses and executes; never throws.
int run_command_line(const std::vector<std::string>& arguments, Console& console);

}  // namespace troupe::apps

#pragma once

#include <CLI/CLI.hpp>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "command/cli.hpp"

namespace troupe::apps {

/// The command line of `troupe`, said once: parsing, --help, the manual pages and what a shell completes all
/// come from here. Parsing fills in the structs below and sets `chosen` to the one that was meant.
class Definition {
 public:
  Definition();
  Definition(const Definition&) = delete;  // the options point into it
  Definition& operator=(const Definition&) = delete;

  /// Of --log-level: 1 errors, 2 warnings, 3 info, 4 debug.
  int log_number() const;

  CLI::App app;
  std::map<const CLI::Option*, std::vector<std::string>> words;  ///< of options that take one of a few
  std::optional<Command> chosen;

  std::string log_level;
  RunCommand run;
  ListCommand list;
  DevicesCommand devices;
  ScenesCommand scenes;
  NodeCommand node;
  PodCommand pod;
  CertsCommand certs;
  TraceSummaryCommand summary;
  TraceHtmlCommand html;
  TraceGraphCommand graph;
  TraceSwimlaneCommand swimlane;
  DumpCommand dump;
  HelpCommand help;
  CompletionCommand completion;
};

/// The innermost command that was named, and how it was called ("troupe trace summary").
std::pair<const CLI::App*, std::string> innermost(const CLI::App& app);

/// The options of a command that are for people, in order; without those that only troupe itself gives.
std::vector<const CLI::Option*> shown_options(const CLI::App& app);

/// The commands of a command, in order.
std::vector<const CLI::App*> commands_of(const CLI::App& app);

}  // namespace troupe::apps

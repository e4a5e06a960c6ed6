#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "dump/dump.hpp"

namespace troupe::apps {

/// What `troupe` answers to the shell. Documented in docs/command.md; scripts rely on it.
enum Exit : int {
  exit_ok = 0,
  exit_failed = 1,  ///< what was asked for ran, and failed: an error of the run, a failed check or scene
  exit_usage = 2,   ///< the command line is wrong: nothing was done
  exit_cannot_start = 3,   ///< a file, module or platform cannot be opened or is not what it should be
  exit_out_of_time = 124,  ///< a scene, or a run with --timeout, did not end within its time
  exit_interrupted = 130   ///< Ctrl-C (SIGINT) or SIGTERM: cancelled and cleaned up
};

/// Who one is to the other end, and whom one believes: files.
struct Certificates {
  std::string certificate, key, authority;
};
struct RunCommand {
  std::string program;
  std::string platform = "a2a3sim";
  std::string placement, models;
  int chips = 0;  ///< 0: what the program asks for
  bool checked = false, isolate = false;
  int nodes = 0;
  std::vector<std::string> hosts;  ///< nodes on other machines instead
  Certificates certificates;
  int silence_ms = 2000;
  int rejoin_seconds = 60;
  int runs = 1;
  int timeout_seconds = 0;                    ///< 0: none
  std::vector<std::string> parameters;        ///< "k=v"
  std::vector<std::string> tensors, scalars;  ///< of a callable that comes as bytes, or a plan
  std::vector<std::string> modules;           ///< of a plan
  std::string trace, graph, swimlane, tensor_dump;
  std::string dumped = "*";  ///< names of the kernels to dump
};
/// `troupe run PROGRAM --help`.
struct ProgramHelpCommand {
  std::string program;
};
struct ListCommand {
  std::vector<std::string> modules;
};
struct DevicesCommand {
  std::vector<std::string> platforms;
};
struct ScenesCommand {
  std::vector<std::string> modules;  ///< or programs of scenes; empty: the built-in ones
  std::vector<std::string> platforms, cases;
  std::string manual = "exclude";
  int devices = 0;  ///< 0: as many as the machine has cores
  int timeout_seconds = 600;
  int rounds = 1, retries = 1;
  bool fail_fast = false, list = false;
};
/// A node for programs on other machines.
struct NodeCommand {
  std::string listen;
  std::string platform = "a2a3sim";
  int chips = 1;
  std::optional<int> first_device;
  int silence_ms = 2000;
  Certificates certificates;
  std::vector<std::string> allowed, may_ship, modules;
  std::string ranks;    ///< a folder: it is one of many, which a launcher started
  bool of_pod = false;  ///< its credentials are on the standard input, and it ends when that does
};
/// Several of them: on this machine, for trying, or on others that a launcher reaches.
struct PodCommand {
  int nodes = 2, chips = 1, port = 0;
  std::string platform = "a2a3sim", program = "troupe";
  std::vector<std::string> hosts;
  std::string through = "ssh -o BatchMode=yes -o ConnectTimeout=10";
};
/// An authority of one's own, and certificates of it.
struct CertsCommand {
  std::string folder;
  std::vector<std::string> nodes, users;
  int days = 365;
};
struct VersionCommand {};
struct TraceSummaryCommand {
  std::string file;
  bool json = false;
  int top = 0;  ///< rows of each table; 0: as many as fit a screen
};
struct TraceHtmlCommand {
  std::string file;
};
struct TraceGraphCommand {
  std::string file, output;
  std::string name;  ///< of the tasks to draw; empty: all of them
};
struct TraceSwimlaneCommand {
  std::string file, output;
};
struct DumpCommand {
  std::string folder;
  DumpFilter filter;
  bool values = false;
  std::string export_folder, npy_folder;
};

struct HelpCommand {
  std::vector<std::string> words;  ///< of the topic: a command, a program, a subject; empty: all of them
  bool manual = false;             ///< as a manual page
};
struct CompletionCommand {
  std::string shell;
};
/// What the scripts of `troupe completion` ask: how the last of these words may go on.
struct CompleteCommand {
  std::vector<std::string> words;
};

using Command = std::variant<VersionCommand, RunCommand, ProgramHelpCommand, ListCommand, DevicesCommand,
                             ScenesCommand, NodeCommand, PodCommand, CertsCommand, TraceSummaryCommand,
                             TraceHtmlCommand, TraceGraphCommand, TraceSwimlaneCommand, DumpCommand,
                             HelpCommand, CompletionCommand, CompleteCommand>;

/// A command line, understood or not.
struct CommandLine {
  std::optional<Command> command;
  int log_level = 2;   ///< 1 errors, 2 warnings, 3 info, 4 debug
  int exit = exit_ok;  ///< without a command: what to answer,
  std::string text;    ///< and what to say: help (exit_ok, standard output) or what is wrong (standard error)
};

[[nodiscard]] CommandLine parse_command_line(const std::vector<std::string>& arguments);

/// "1.2.3".
[[nodiscard]] const char* version() noexcept;

}  // namespace troupe::apps

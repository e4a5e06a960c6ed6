#include "command/python_program.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "errc.hpp"

#ifndef TROUPE_PYTHON
#define TROUPE_PYTHON "python3"
#endif

namespace troupe::apps {
namespace {

namespace fs = std::filesystem;

/// The folder with the package `troupe`: of an installed command, or of the build.
fs::path package_folder() {
  std::error_code problem;
  const fs::path here = fs::read_symlink("/proc/self/exe", problem).parent_path();
  for (const char* folder : {"../lib/python3/dist-packages", "../python"}) {
    if (fs::exists(here / folder / "troupe" / "__init__.py", problem))
      return (here / folder).lexically_normal();
  }
  return {};
}

/// Answers only when it cannot. `words`: the command line of the package; `program` is for the error.
Error become_python(const std::string& program, std::vector<std::string> words) {
  const auto folder = package_folder();
  if (folder.empty()) {
    return Error(Errc::unknown_program,
                 "\"" + program + "\" is a program in Python, for which this troupe was not built",
                 "on Debian: apt-get install pybind11-dev python3-dev, and build again");
  }
  words.insert(words.begin(), {TROUPE_PYTHON, "-m", "troupe"});
  std::string path = folder.string();
  const char* before = std::getenv("PYTHONPATH");  // NOLINT(concurrency-mt-unsafe): no other thread yet
  if (before != nullptr && *before != '\0') path += ":" + std::string(before);
  setenv("PYTHONPATH", path.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
  std::vector<char*> arguments;
  for (auto& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  execvp(arguments[0], arguments.data());
  return Error(Errc::cannot_read,
               std::string("cannot start ") + TROUPE_PYTHON + ": " + std::generic_category().message(errno));
}

}  // namespace

bool names_python_program(const std::string& program) {
  const auto at = program.rfind(".py");
  return at != std::string::npos && at != 0 && (at + 3 == program.size() || program[at + 3] == ':');
}

Error run_python_program(const RunCommand& command, int log_level) {
  if (!command.tensors.empty() || !command.scalars.empty()) {
    return Error(Errc::bad_parameter, "a program in Python takes neither --tensor nor --scalar",
                 "its parameters have names: --param rate=0.1");
  }
  std::vector<std::string> words{"run",         command.program,          "--platform", command.platform,
                                 "--log-level", std::to_string(log_level)};
  const auto number = [&](const char* option, int value) {
    if (value == 0) return;
    words.emplace_back(option);
    words.push_back(std::to_string(value));
  };
  number("--chips", command.chips);
  number("--nodes", command.nodes);
  number("--runs", command.runs);
  number("--timeout", command.timeout_seconds);
  if (command.checked) words.emplace_back("--checked");
  if (command.isolate) words.emplace_back("--isolate");
  for (const auto& host : command.hosts) words.insert(words.end(), {"--hosts", host});
  const auto text = [&](const char* option, const std::string& given) {
    if (!given.empty()) words.insert(words.end(), {option, given});
  };
  text("--cert", command.certificates.certificate);
  text("--key", command.certificates.key);
  text("--ca", command.certificates.authority);
  number("--silence", command.silence_ms);
  words.insert(words.end(), {"--rejoin", std::to_string(command.rejoin_seconds)});
  text("--placement", command.placement);
  text("--models", command.models);
  text("--trace", command.trace);
  text("--graph", command.graph);
  text("--swimlane", command.swimlane);
  text("--tensor-dump", command.tensor_dump);
  if (!command.tensor_dump.empty()) text("--dump-only", command.dumped);
  std::error_code problem;
  // This one makes graphs and swimlanes of traces.
  text("--tool", fs::read_symlink("/proc/self/exe", problem).string());
  for (const auto& parameter : command.parameters) words.insert(words.end(), {"--param", parameter});
  return become_python(command.program, std::move(words));
}

Error explain_python_program(const std::string& program) { return become_python(program, {"help", program}); }

}  // namespace troupe::apps

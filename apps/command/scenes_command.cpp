#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <ostream>

#include "command/commands.hpp"
#include "errc.hpp"

namespace troupe::apps {
namespace {

/// The program of the built-in scenes stands beside the command.
std::string built_in() {
  std::error_code problem;
  return (std::filesystem::read_symlink("/proc/self/exe", problem).parent_path() / "troupe_scenes").string();
}

/// Runs a program of scenes and waits for it. Its exit code; nothing when it cannot be started.
Result<int> play(const std::string& program, const std::vector<std::string>& options) {
  std::vector<char*> arguments{const_cast<char*>(program.c_str())};
  for (const auto& option : options) arguments.push_back(const_cast<char*>(option.c_str()));
  arguments.push_back(nullptr);
  pid_t child = 0;
  const int problem = posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments.data(), environ);
  if (problem != 0) {
    return Error(Errc::cannot_read, "cannot run \"" + program + "\": " + std::strerror(problem),
                 "scenes are programs that call scene_main; see docs/scenes.md");
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  // Ctrl-C reaches the whole foreground group: the program of scenes ends by itself.
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

int execute(const ScenesCommand& command, Console& console) {
  std::vector<std::string> options = {"--timeout", std::to_string(command.timeout_seconds)};
  const auto give = [&](const char* name, const std::string& value) {
    options.insert(options.end(), {name, value});
  };
  std::string platforms;
  for (const auto& platform : command.platforms) platforms += (platforms.empty() ? "" : ",") + platform;
  if (!platforms.empty()) give("--platform", platforms);
  for (const auto& name : command.cases) give("--case", name);
  if (command.devices != 0) give("--device", "0-" + std::to_string(command.devices - 1));
  if (command.list) options.emplace_back("--list");

  console.out.flush();
  int answer = exit_ok;
  const auto programs = command.programs.empty() ? std::vector<std::string>{built_in()} : command.programs;
  for (const auto& program : programs) {
    // A bare name is a file here, as for modules.
    const auto played = play(std::filesystem::absolute(program).string(), options);
    if (!played) {
      console.err << "troupe: " << render(played.error()) << "\n";
      return exit_cannot_start;
    }
    if (*played == 2) answer = exit_usage;
    if (*played != 0 && *played != 2) answer = exit_failed;
  }
  return answer;
}

}  // namespace troupe::apps

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <system_error>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <ostream>

#include "command/commands.hpp"
#include "command/interrupts.hpp"
#include "command/program.hpp"
#include "errc.hpp"
#include "troupe/comm/threads_hint.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/scene_module.hpp"

namespace troupe::apps {
namespace {

constexpr int nothing_played = 4;  // what scene_main answers then

/// The program of the built-in scenes stands beside the command; it also plays those of modules.
std::string player() {
  std::error_code problem;
  return (std::filesystem::read_symlink("/proc/self/exe", problem).parent_path() / "troupe_scenes").string();
}

Error cannot_run(const std::string& program, int problem) {
  const auto limit = comm::limit_hint(problem);
  return Error(
      Errc::cannot_read, "cannot run \"" + program + "\": " + std::generic_category().message(problem),
      !limit.empty()
          ? limit
          : "scenes are modules with TROUPE_SCENES, or programs that call scene_main; see docs/scenes.md");
}

/// The words of a command line, with the null behind them.
std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  for (auto& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

/// Becomes the program. It ends with this process, however that ends; posix_spawn could not ask for that.
[[noreturn]] void become(std::vector<char*>& words, pid_t parent, int tell) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  pthread_sigmask(SIG_SETMASK, &none, nullptr);
  if (getppid() == parent) execv(words.front(), words.data());
  const int problem = errno;
  (void)!write(tell, &problem, sizeof problem);
  _exit(127);
}

/// Runs a program of scenes and waits for it. Its exit code; nothing when it cannot be started.
Result<int> play(std::vector<std::string> words, Interrupts& interrupts) {
  std::vector<char*> arguments = pointers(words);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return cannot_run(words.front(), errno);
  const pid_t parent = getpid(), child = fork();  // this process has one thread
  if (child == 0) become(arguments, parent, ends[1]);
  const int forked = child < 0 ? errno : 0;
  close(ends[1]);
  int problem = forked;
  if (forked == 0 && read(ends[0], &problem, sizeof problem) != sizeof problem) problem = 0;
  close(ends[0]);
  if (forked != 0) return cannot_run(words.front(), forked);

  // Ctrl-C reaches the whole foreground group; a signal to this process alone goes on to the program.
  const int ended = static_cast<int>(syscall(SYS_pidfd_open, child, 0));
  pollfd waiting[2] = {{ended, POLLIN, 0}, {interrupts.descriptor(), POLLIN, 0}};
  bool interrupted = false;
  while (ended >= 0 && (poll(waiting, 2, -1) < 0 || (waiting[0].revents & POLLIN) == 0)) {
    if ((waiting[1].revents & POLLIN) == 0 || !interrupts.take()) continue;
    interrupted = true;
    kill(child, SIGTERM);
  }
  if (ended >= 0) close(ended);
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (problem != 0) return cannot_run(words.front(), problem);
  if (interrupted || interrupts.take()) return static_cast<int>(exit_interrupted);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::vector<std::string> options_of(const ScenesCommand& command) {
  std::vector<std::string> options = {
      "--timeout", std::to_string(command.timeout_seconds), "--rounds", std::to_string(command.rounds),
      "--retries", std::to_string(command.retries),         "--manual", command.manual};
  const auto give = [&](const char* name, const std::string& value) {
    options.insert(options.end(), {name, value});
  };
  std::string platforms;
  for (const auto& platform : command.platforms) platforms += (platforms.empty() ? "" : ",") + platform;
  if (!platforms.empty()) give("--platform", platforms);
  for (const auto& name : command.cases) give("--case", name);
  if (command.devices != 0) {
    give("--device", "0-" + std::to_string(command.devices - 1));
    options.emplace_back("--any-device");  // so many at a time, on what there is
  }
  if (command.fail_fast) options.emplace_back("-x");
  if (command.list) options.emplace_back("--list");
  return options;
}

/// The words that play one thing the user named: a module or a program.
Result<std::vector<std::string>> command_for(const std::string& named) {
  const std::string file = module_path(named);
  if (!named.ends_with(".so") && named.find(".so.") == std::string::npos) return std::vector{file};
  // Looked at here first: one sentence then, not one from each process.
  if (const auto module = platform::open_scene_module(file); !module) return module.error();
  return std::vector{player(), file};
}

}  // namespace

int execute(const ScenesCommand& command, Console& console) {
  std::vector<std::vector<std::string>> all;
  const auto refuse = [&](const Error& error) {
    console.err << "troupe: " << render(error) << "\n";
    return exit_cannot_start;
  };
  for (const auto& named : command.modules) {
    auto words = command_for(named);
    if (!words) return refuse(words.error());
    all.push_back(*std::move(words));
  }
  if (all.empty()) all.push_back({player()});
  for (const auto& name : command.platforms) {  // else every scene would fail with the same sentence
    if (const auto found = platform::DeviceLibrary::open(name); !found) return refuse(found.error());
  }

  console.out.flush();
  Interrupts interrupts;
  const auto options = options_of(command);
  int answer = exit_ok;
  for (auto& words : all) {
    words.insert(words.end(), options.begin(), options.end());
    const auto played = play(words, interrupts);
    if (!played) return refuse(played.error());
    if (*played == exit_interrupted) {
      console.err << "scenes: cancelled\n";
      return exit_interrupted;
    }
    if (*played == exit_usage || *played == exit_out_of_time || *played == exit_cannot_start) {
      answer = *played;
    } else if (*played == nothing_played) {
      console.err << "troupe: none of the scenes can run on this platform\n"
                  << "  hint: devices run kernels alone, of one source; see docs/devices.md\n";
      if (answer == exit_ok) answer = exit_cannot_start;
    } else if (*played != 0 && answer != exit_out_of_time) {
      answer = exit_failed;
    }
    if (command.fail_fast && *played != 0) break;
  }
  return answer;
}

}  // namespace troupe::apps

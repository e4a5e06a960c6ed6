#pragma once

// What the communication benchmarks share: starting rank programs (ours or a peer's), reading the numbers
// they print, and medians over runs. A rank program prints lines "<name> <value>".

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <sstream>
#include <string>
#include <vector>

extern char** environ;

namespace troupe::bench {

/// Several values of each name, one per run.
using Samples = std::map<std::string, std::vector<double>>;

inline double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Programs running at the same time, each with its output in a pipe of its own.
class Programs {
 public:
  bool start(const std::vector<std::string>& command) {
    std::array<int, 2> ends{};
    if (::pipe(ends.data()) != 0) return false;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    pid_t pid = -1;
    const bool started = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    if (started)
      running_.push_back({pid, ends[0]});
    else
      ::close(ends[0]);
    return started;
  }

  /// Reads all output until every program has ended; false when one failed (or was killed, unless that is
  /// expected).
  bool finish(Samples& samples, bool may_be_killed = false) {
    bool good = true;
    for (const Running& program : running_) {
      std::string text;
      std::array<char, 4096> part{};
      for (ssize_t got; (got = ::read(program.output, part.data(), part.size())) > 0;)
        text.append(part.data(), static_cast<std::size_t>(got));
      ::close(program.output);
      int status = 0;
      ::waitpid(program.pid, &status, 0);
      good =
          good && ((WIFEXITED(status) && WEXITSTATUS(status) == 0) || (may_be_killed && WIFSIGNALED(status)));
      std::istringstream lines(text);
      std::string name;
      for (double value = 0; lines >> name >> value;) samples[name].push_back(value);
    }
    running_.clear();
    return good;
  }

 private:
  struct Running {
    pid_t pid;
    int output;
  };
  std::vector<Running> running_;
};

}  // namespace troupe::bench

#pragma once

// What the communication benchmarks share: starting rank programs (ours or a peer's), reading the numbers
// they print, and medians over runs. A rank program prints lines "<name> <value>".

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
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

/// A rank of ours that waits longer than this for another fails and says for whom: nothing here takes
/// seconds.
inline constexpr std::chrono::seconds rank_patience{30};

/// How often a table is measured: `runs` times when somebody said so, otherwise up to 7 times and not begun
/// again once it might take more than three minutes in all.
class Runs {
 public:
  explicit Runs(int wanted) : wanted_(wanted > 0 ? wanted : 7), timed_(wanted <= 0) {}

  bool another() {
    const auto spent = Clock::now() - begun_;
    if (done_ == wanted_ || (timed_ && done_ > 0 && spent + spent / done_ > std::chrono::minutes(3)))
      return false;
    ++done_;
    return true;
  }
  /// Of the run that is under way, from 1; afterwards of all.
  int number() const { return done_; }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point begun_ = Clock::now();
  int wanted_, done_ = 0;
  bool timed_;
};

/// Programs running at the same time, each with its output in a pipe of its own. None outlives this object.
class Programs {
 public:
  Programs() = default;
  Programs(const Programs&) = delete;
  ~Programs() {
    for (Running& program : running_) end(program);
  }

  bool start(const std::vector<std::string>& command) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return false;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    pid_t pid = -1;
    const bool started = ::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    if (started)
      running_.push_back({pid, ends[0], command[0] == "mpirun" ? command[0] : "rank " + command[2], {}});
    else
      ::close(ends[0]);
    return started;
  }

  /// Reads all output until every program has ended; false when one failed (or was killed, unless that is
  /// expected), or when they take longer than `longest`: then they are killed, and it is said which.
  bool finish(Samples& samples, bool may_be_killed = false,
              std::chrono::seconds longest = std::chrono::minutes(2)) {
    const auto until = std::chrono::steady_clock::now() + longest;
    bool good = true;
    for (Running& program : running_) {
      const bool in_time = read_all(program, until);
      if (!in_time)
        std::fprintf(
            stderr,
            "%s (process %d) did not end within %d s and is killed; is the machine busy with other work?\n",
            program.name.c_str(), program.pid, static_cast<int>(longest.count()));
      const int status = in_time ? wait(program) : end(program);
      good = good && in_time &&
             ((WIFEXITED(status) && WEXITSTATUS(status) == 0) || (may_be_killed && WIFSIGNALED(status)));
      std::istringstream lines(program.text);
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
    std::string name;
    std::string text;
  };

  /// False when the time is over first.
  static bool read_all(Running& program, std::chrono::steady_clock::time_point until) {
    for (;;) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      pollfd output{.fd = program.output, .events = POLLIN, .revents = 0};
      if (left.count() <= 0 || ::poll(&output, 1, static_cast<int>(left.count())) == 0) return false;
      std::array<char, 4096> part{};
      const ssize_t got = ::read(program.output, part.data(), part.size());
      if (got <= 0) return true;
      program.text.append(part.data(), static_cast<std::size_t>(got));
    }
  }

  static int wait(Running& program) {
    int status = 0;
    ::waitpid(program.pid, &status, 0);
    ::close(program.output);
    return status;
  }

  /// First the request that mpirun passes on to its ranks, then the end.
  static int end(Running& program) {
    ::kill(program.pid, SIGTERM);
    if (!read_all(program, std::chrono::steady_clock::now() + std::chrono::seconds(5)))
      ::kill(program.pid, SIGKILL);
    return wait(program);
  }

  std::vector<Running> running_;
};

}  // namespace troupe::bench

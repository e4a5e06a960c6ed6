#pragma once

#include <doctest/doctest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>
#include <array>
#include <csignal>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace troupe::comm::test {

/// A running helper program, spoken to by lines. Started with posix_spawn; killed and reaped at the end of
/// its life.
class ChildProcess {
 public:
  /// `inherited` descriptors keep their numbers there; its communicators wait 100 s before their deadline.
  explicit ChildProcess(std::string program, std::vector<std::string> arguments,
                        const std::vector<int>& inherited = {}) {
    arguments.insert(arguments.begin(), std::move(program));
    std::array<int, 2> in{}, out{};
    REQUIRE(::pipe2(in.data(), O_CLOEXEC) == 0);
    REQUIRE(::pipe2(out.data(), O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    // Duplicating onto itself is how a descriptor is told to survive the exec.
    for (const int fd : inherited) posix_spawn_file_actions_adddup2(&actions, fd, fd);
    std::vector<char*> argv, env;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    std::string variable = "TROUPE_COMM_TIMEOUT=100";
    for (char** entry = environ; *entry != nullptr; ++entry) env.push_back(*entry);
    env.insert(env.begin(), variable.data());
    env.push_back(nullptr);
    REQUIRE(::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), env.data()) == 0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    input_ = in[1];
    output_ = out[0];
  }
  ChildProcess(ChildProcess&& other) noexcept
      : pid_(std::exchange(other.pid_, -1)),
        input_(std::exchange(other.input_, -1)),
        output_(std::exchange(other.output_, -1)),
        buffer_(std::move(other.buffer_)) {}
  ~ChildProcess() {
    if (pid_ > 0) {
      kill();
      wait();
    }
  }

  /// The next line it prints; empty at its end.
  std::string line() {
    for (;;) {
      const auto end = buffer_.find('\n');
      if (end != std::string::npos) {
        std::string result = buffer_.substr(0, end);
        buffer_.erase(0, end + 1);
        return result;
      }
      std::array<char, 512> part{};
      const ssize_t got = ::read(output_, part.data(), part.size());
      if (got <= 0) return {};
      buffer_.append(part.data(), static_cast<std::size_t>(got));
    }
  }
  /// Reads on until a line starts with `start`; that line, or empty when it ended before.
  std::string until(const std::string& start) {
    for (std::string text = line(); !text.empty(); text = line())
      if (text.rfind(start, 0) == 0) return text;
    return {};
  }
  void go() { CHECK(::write(input_, "\n", 1) == 1); }
  pid_t id() const { return pid_; }
  void kill() { ::kill(pid_, SIGKILL); }
  /// Its exit code, or minus the signal that ended it.
  int wait() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    ::close(input_);
    ::close(output_);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
  int input_ = -1, output_ = -1;
  std::string buffer_;
};

}  // namespace troupe::comm::test

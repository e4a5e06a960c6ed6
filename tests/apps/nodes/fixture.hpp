#pragma once

// What a user of nodes has: their processes, and certificates.

#include <doctest/doctest.h>

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "apps/troupe_process.hpp"
#include "support/temporary_folder.hpp"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace troupe::test {

/// A `troupe node` process. It has begun when its address is known.
class NodeProcess {
 public:
  /// `before`: what starts it, with the words in front of it.
  explicit NodeProcess(const std::string& where, const std::string& options = {},
                       std::vector<std::string> before = {}) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    auto words = std::move(before);
    words.insert(words.end(), {tests::built("bin/troupe"), "node"});
    if (!where.empty()) words.insert(words.end(), {"--listen", where});
    for (std::size_t begin = 0; begin < options.size();) {
      const auto end = std::min(options.find(' ', begin), options.size());
      if (end != begin) words.push_back(options.substr(begin, end - begin));
      begin = end + 1;
    }
    std::vector<char*> raw;
    for (auto& word : words) raw.push_back(word.data());
    raw.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDERR_FILENO);
    REQUIRE(::posix_spawnp(&pid_, raw[0], &actions, nullptr, raw.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    says_ = ::fdopen(ends[0], "r");
    const std::string begun = "listens at ";
    for (;;) {
      const auto line = next_line();
      REQUIRE_FALSE(line.empty());
      const auto found = line.find(begun);
      if (found == std::string::npos) continue;
      address_ = line.substr(found + begun.size());
      address_ = address_.substr(0, address_.find(' '));
      break;
    }
  }
  ~NodeProcess() {
    end(SIGKILL);
    std::fclose(says_);
  }
  NodeProcess(const NodeProcess&) = delete;
  NodeProcess& operator=(const NodeProcess&) = delete;

  const std::string& address() const { return address_; }
  pid_t process() const { return pid_; }
  void signal(int number) const { ::kill(pid_, number); }
  int end(int number) {
    if (pid_ < 0) return 0;
    ::kill(pid_, number);
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  /// Empty: it has ended.
  std::string next_line() {
    std::array<char, 1024> line{};
    return std::fgets(line.data(), line.size(), says_) != nullptr ? line.data() : "";
  }
  /// Waits until it says that; false: it has ended before.
  bool says(const std::string& part) {
    for (auto line = next_line(); !line.empty(); line = next_line()) {
      if (has(line, part)) return true;
    }
    return false;
  }

 private:
  pid_t pid_ = -1;
  std::FILE* says_ = nullptr;
  std::string address_;
};

/// An authority with a node's certificate for loopback and some users'.
struct Certificates {
  Certificates() {
    REQUIRE(troupe_command("certs " + folder.path().string() +
                           " --node 127.0.0.1 --node localhost --node 10.213.7.2 --user alice --user bob")
                .exit == 0);
  }
  std::string of(const std::string& name) const {
    return " --cert " + (folder / (name + ".pem")) + " --key " + (folder / (name + ".key")) + " --ca " +
           (folder / "ca.pem");
  }
  TemporaryFolder folder;
};

inline const Certificates& certificates() {
  static const Certificates made;
  return made;
}

inline std::string hosts(const NodeProcess& node) { return " --hosts " + node.address(); }

inline std::string module_option() {
  return " --module " + tests::built("tests/platform/isolated/isolated_kernels.so");
}

}  // namespace troupe::test

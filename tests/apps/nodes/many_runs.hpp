#pragma once

#include <doctest/doctest.h>

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <string>
#include <utility>

#include "apps/troupe_process.hpp"

namespace troupe::test {

/// `hello` over and over, whose output begins to come after the first many runs.
class ManyRuns {
 public:
  ManyRuns(const std::string& command, const std::string& options)
      : says_(::popen((command + " run hello --timeout 100" + options + " 2>&1").c_str(), "re")) {
    REQUIRE(says_ != nullptr);
  }
  ~ManyRuns() { (void)end(); }
  ManyRuns(const ManyRuns&) = delete;
  ManyRuns& operator=(const ManyRuns&) = delete;
  bool has_begun() { return read_line() && has(output, "hello"); }
  /// How it was, when it has ended.
  int end() {
    if (says_ == nullptr) return exit_;
    while (read_line()) {
    }
    const int status = ::pclose(std::exchange(says_, nullptr));
    exit_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return exit_;
  }
  std::string output;  ///< what is not "hello", and the first line

 private:
  bool read_line() {
    std::array<char, 1024> line{};
    if (std::fgets(line.data(), line.size(), says_) == nullptr) return false;
    if (output.empty() || !has(line.data(), "hello: the chip says")) output += line.data();
    return true;
  }
  std::FILE* says_;
  int exit_ = -1;
};

}  // namespace troupe::test

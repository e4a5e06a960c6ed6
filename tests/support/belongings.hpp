#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

namespace troupe::test {

/// What a process has that stays with it until it is given back: descriptors, shared memory, children,
/// threads.
struct Belongings {
  std::size_t descriptors = 0, shared = 0, children = 0, threads = 0;

  static Belongings now() {
    namespace fs = std::filesystem;
    Belongings mine;
    // The one that reads the folder is among them, each time.
    for ([[maybe_unused]] const auto& one : fs::directory_iterator("/proc/self/fd")) ++mine.descriptors;
    for ([[maybe_unused]] const auto& one : fs::directory_iterator("/proc/self/task")) ++mine.threads;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      if (line.find("/memfd:") != std::string::npos || line.find("/dev/shm/") != std::string::npos)
        ++mine.shared;
    }
    const auto parent = "PPid:\t" + std::to_string(::getpid());
    std::error_code gone;
    for (const auto& one : fs::directory_iterator("/proc", gone)) {
      std::ifstream status(one.path() / "status");
      for (std::string line; std::getline(status, line);) {
        if (line == parent) ++mine.children;
      }
    }
    return mine;
  }
  /// Whether it has just as much as before; threads aside, of which some are kept for the next work.
  bool is_as(const Belongings& before) const {
    return descriptors == before.descriptors && shared == before.shared && children == before.children;
  }
  /// Waits until this process has as much as this again; what it has then, or after far too long.
  Belongings wait() const {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    for (;;) {
      const auto mine = now();
      if (mine.is_as(*this) || std::chrono::steady_clock::now() > until) return mine;
      std::this_thread::yield();
    }
  }
  std::string text() const {
    return std::to_string(descriptors) + " descriptors, " + std::to_string(shared) +
           " pieces of shared memory, " + std::to_string(children) + " children, " + std::to_string(threads) +
           " threads";
  }
};

/// How many threads there were after each of several rounds that do the same.
class ThreadCounts {
 public:
  void add(const Belongings& after) { counts_.push_back(after.threads); }
  /// Whether each round of the second half has left at least one: as many more than there ever were in the
  /// first half, in which those that are kept for the next work have come.
  bool have_risen() const {
    const auto rounds = counts_.size() / 2;
    const auto half = counts_.begin() + static_cast<std::ptrdiff_t>(rounds);
    return rounds != 0 &&
           *std::max_element(half, counts_.end()) >= *std::max_element(counts_.begin(), half) + rounds;
  }
  std::string text() const {
    std::string all;
    for (const auto count : counts_) all += (all.empty() ? "" : ", ") + std::to_string(count);
    return all + " threads";
  }

 private:
  std::vector<std::size_t> counts_;
};

}  // namespace troupe::test

#pragma once

// What a process holds: compared before and after, it shows what was left behind.

#include <unistd.h>

#include <filesystem>
#include <set>
#include <string>

namespace troupe::comm::test {

/// Our own descriptors by number and what they are, e.g. "7 socket:[123]".
inline std::set<std::string> held_descriptors() {
  std::set<std::string> result;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the directory's own descriptor
    const auto target = std::filesystem::read_symlink(entry.path(), gone);
    if (!gone && target.string().find("/proc/") != 0) {
      result.insert(entry.path().filename().string() + " " + target.string());
    }
  }
  return result;
}

inline std::set<std::string> shared_memory_names() {
  std::set<std::string> result;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    result.insert(entry.path().filename().string());
  }
  return result;
}

/// A shared-memory name that no other test and no other run uses.
inline std::string unique_name(const std::string& what) {
  return "troupe-test-" + std::to_string(::getpid()) + "-" + what;
}

/// Our own names only: other tests run at the same time.
inline std::set<std::string> own_shared_memory_names() {
  std::set<std::string> result;
  const std::string prefix = unique_name("");
  for (const std::string& name : shared_memory_names()) {
    if (name.rfind(prefix, 0) == 0) result.insert(name);
  }
  return result;
}

}  // namespace troupe::comm::test

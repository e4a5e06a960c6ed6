#include "memory_left.hpp"

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>

namespace troupe::comm {

namespace {

constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

/// The number behind `key` in lines of "key number …".
std::optional<std::uint64_t> value_of(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  std::string word;
  std::uint64_t value = 0;
  for (std::string line; file >> word; std::getline(file, line))
    if (word == key && file >> value) return value;
  return std::nullopt;
}

/// A file with one number; "max" is none.
std::optional<std::uint64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;
}

std::uint64_t left_in_machine(const std::string& proc) {
  const auto available = value_of(proc + "/meminfo", "MemAvailable:");
  if (!available) return unlimited;
  return (*available + value_of(proc + "/meminfo", "SwapFree:").value_or(0)) * 1024;
}

std::uint64_t left_in_group(const std::string& path) {
  const auto limit = number_in(path + "/memory.max"), used = number_in(path + "/memory.current");
  if (!limit || !used) return unlimited;
  // File pages that are no shared memory are given up before anybody is killed.
  const std::uint64_t cache = value_of(path + "/memory.stat", "file").value_or(0);
  const std::uint64_t shared = std::min(cache, value_of(path + "/memory.stat", "shmem").value_or(0));
  const std::uint64_t held = *used - std::min(*used, cache - shared);
  return *limit - std::min(*limit, held);
}

/// Groups nest and each may limit: the tightest counts.
std::uint64_t left_in_groups(const std::string& proc, const std::string& root) {
  std::ifstream file(proc + "/self/cgroup");
  std::uint64_t left = unlimited;
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("0::", 0) != 0) continue;  // the unified hierarchy
    for (std::string group = line.substr(3);; group.erase(group.rfind('/'))) {
      left = std::min(left, left_in_group(root + group));
      if (group.find('/') == std::string::npos) break;
    }
  }
  return left;
}

}  // namespace

std::uint64_t memory_left(const std::string& proc, const std::string& cgroup) {
  return std::min(left_in_machine(proc), left_in_groups(proc, cgroup));
}

}  // namespace troupe::comm

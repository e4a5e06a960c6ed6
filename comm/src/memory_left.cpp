#include "troupe/comm/memory_left.hpp"

#include <sys/resource.h>
#include <sys/types.h>

#include <algorithm>
#include <fstream>
#include <limits>
#include <optional>

#include "system_error.hpp"

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

/// The names of what a hierarchy of control groups keeps: version 2 (unified) and version 1 (the memory
/// controller's own).
struct Hierarchy {
  const char* limit;
  const char* used;
  const char* cache;   ///< in memory.stat: pages of files, shared memory included
  const char* shared;  ///< in memory.stat
};
constexpr Hierarchy unified{"/memory.max", "/memory.current", "file", "shmem"};
constexpr Hierarchy memory_controller{"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_cache",
                                      "total_shmem"};

std::uint64_t left_in_group(const Hierarchy& names, const std::string& path) {
  const auto limit = number_in(path + names.limit), used = number_in(path + names.used);
  if (!limit || !used) return unlimited;
  // File pages that are no shared memory are given up before anybody is killed.
  const std::uint64_t cache = value_of(path + "/memory.stat", names.cache).value_or(0);
  const std::uint64_t shared = std::min(cache, value_of(path + "/memory.stat", names.shared).value_or(0));
  const std::uint64_t held = *used - std::min(*used, cache - shared);
  return *limit - std::min(*limit, held);
}

/// Groups nest and each may limit: the tightest counts.
std::uint64_t left_up_from(const Hierarchy& names, const std::string& root, std::string group) {
  for (std::uint64_t left = unlimited;; group.erase(group.rfind('/'))) {
    left = std::min(left, left_in_group(names, root + group));
    if (group.find('/') == std::string::npos) return left;
  }
}

/// Lines of "number:controllers:path"; no controllers is the unified hierarchy.
std::uint64_t left_in_groups(const std::string& proc, const std::string& root) {
  std::ifstream file(proc + "/self/cgroup");
  std::uint64_t left = unlimited;
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string group = line.substr(second + 1);
    if (controllers == ",,") left = std::min(left, left_up_from(unified, root, group));
    if (controllers.find(",memory,") != std::string::npos) {
      left = std::min(left, left_up_from(memory_controller, root + "/memory", group));
    }
  }
  return left;
}

}  // namespace

std::uint64_t memory_left(const std::string& proc, const std::string& cgroup) {
  return std::min(left_in_machine(proc), left_in_groups(proc, cgroup));
}

Result<void> check_room(std::uint64_t bytes, const std::string& what) {
  rlimit limit{};
  const bool limited = ::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY;
  if ((limited && bytes > limit.rlim_cur) ||
      bytes > static_cast<std::uint64_t>(std::numeric_limits<off_t>::max())) {
    return system_error(what, EFBIG, room_hint);
  }
  // By no limit that the hint of an error of the system would name.
  if (bytes > memory_left())
    return Error(Errc::no_memory, what + ": " + std::generic_category().message(ENOMEM), room_hint);
  return {};
}

}  // namespace troupe::comm

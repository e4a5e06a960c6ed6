#include "memory_left.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>

namespace {

using troupe::comm::memory_left;

/// A made-up /proc and /sys/fs/cgroup.
struct Machine {
  Machine() { std::filesystem::create_directories(root / "self"); }
  ~Machine() { std::filesystem::remove_all(root); }
  void file(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root / path).parent_path());
    std::ofstream(root / path) << text;
  }
  std::uint64_t left() const { return memory_left(root, root / "cgroup"); }
  std::filesystem::path root =
      std::filesystem::temp_directory_path() / ("troupe-memory-" + std::to_string(::getpid()));
};

TEST_CASE("memory left is what the machine has available, swap included") {
  const Machine machine;
  CHECK(machine.left() == std::numeric_limits<std::uint64_t>::max());
  machine.file("meminfo", "MemTotal: 900 kB\nMemAvailable:     100 kB\nSwapTotal: 50 kB\nSwapFree: 20 kB\n");
  CHECK(machine.left() == 120 * 1024);
}

TEST_CASE("memory left is bounded by the tightest control group on the way up, page cache not counted") {
  const Machine machine;
  machine.file("self/cgroup", "1:cpu:/elsewhere\n0::/jobs/one\n");
  machine.file("cgroup/jobs/one/memory.max", "max\n");
  machine.file("cgroup/jobs/one/memory.current", "5000\n");
  CHECK(machine.left() == std::numeric_limits<std::uint64_t>::max());
  machine.file("cgroup/jobs/memory.max", "10000\n");
  machine.file("cgroup/jobs/memory.current", "6000\n");
  CHECK(machine.left() == 4000);
  machine.file("cgroup/jobs/memory.stat", "anon 2000\nfile 3500\nkernel 1\nshmem 500\n");
  CHECK(machine.left() == 7000);
  machine.file("cgroup/memory.max", "3000\n");
  machine.file("cgroup/memory.current", "9000\n");
  CHECK(machine.left() == 0);
}

TEST_CASE("a control group file without sense counts as no limit") {
  const Machine machine;
  machine.file("self/cgroup", "0::nonsense\n0::\n0::/\n");
  machine.file("cgroup/memory.max", "many\n");
  CHECK(machine.left() == std::numeric_limits<std::uint64_t>::max());
}

}  // namespace

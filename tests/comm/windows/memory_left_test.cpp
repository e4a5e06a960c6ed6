#include "troupe/comm/memory_left.hpp"

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

TEST_CASE("control groups of version 1 bound it, too, where their mount shows them") {
  const Machine machine;
  machine.file("self/cgroup", "4:cpu,cpuacct:/\n9:memory:/jobs/one\n0::/init\n");
  // In a container the path is the host's, and the mount begins at the container's own group.
  machine.file("cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  machine.file("cgroup/memory/memory.usage_in_bytes", "9000\n");
  CHECK(machine.left() == 9223372036854771712U - 9000);
  machine.file("cgroup/memory/jobs/memory.limit_in_bytes", "10000\n");
  machine.file("cgroup/memory/jobs/memory.usage_in_bytes", "6000\n");
  machine.file("cgroup/memory/jobs/memory.stat", "cache 1\ntotal_cache 3500\ntotal_shmem 500\n");
  CHECK(machine.left() == 7000);
  machine.file("cgroup/memory.max", "5000\n");
  machine.file("cgroup/memory.current", "0\n");
  CHECK(machine.left() == 5000);  // both hierarchies, as on hybrid machines
}

TEST_CASE("a control group file without sense counts as no limit") {
  const Machine machine;
  machine.file("self/cgroup", "0::nonsense\n0::\n0::/\n:\nmemory\n7:memory\n7:memory:\n");
  machine.file("cgroup/memory.max", "many\n");
  CHECK(machine.left() == std::numeric_limits<std::uint64_t>::max());
}

}  // namespace

// The parts below the ABI, on their own.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "kernels/core_pool.hpp"
#include "kernels/flag_waits.hpp"
#include "kernels/pipes.hpp"
#include "options.hpp"
#include "tasks/graph_limits.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::platform::sim;
using troupe::platform::Errc;

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

unsigned char* bytes(std::uint64_t address) { return reinterpret_cast<unsigned char*>(address); }

}  // namespace

TEST_CASE("cores are taken and given back one by one, clusters only when wholly idle") {
  CorePool cores;
  cores.reset(2);
  CHECK(cores.idle_clusters() == 2);
  const auto first = cores.take_aiv();
  CHECK(cores.idle_clusters() == 1);
  CHECK(cores.idle_cluster() == 1);
  for (int i = 0; i < 3; ++i) CHECK(cores.take_aiv() != CorePool::none);
  CHECK(cores.take_aiv() == CorePool::none);
  CHECK(cores.free_aics() == 2);
  cores.give_back(first / 4, first % 4);
  CHECK(cores.free_aivs() == 1);
}

TEST_CASE("pipe storage is shared by key within a cluster and never grows in use") {
  Pipes pipes;
  auto* a = static_cast<char*>(pipes.storage(0, 7, 64));
  REQUIRE(a != nullptr);
  CHECK(reinterpret_cast<std::uintptr_t>(a) % 64 == 0);
  a[63] = 5;
  CHECK(pipes.storage(0, 7, 32) == a);
  CHECK(pipes.storage(1, 7, 64) != a);
  CHECK(pipes.storage(0, 8, 64) != a);
  CHECK(pipes.storage(0, 7, 65) == nullptr);
  CHECK(pipes.storage(0, 9, 0) == nullptr);
  pipes.reset();
  CHECK(static_cast<char*>(pipes.storage(0, 7, 128))[63] == 0);
}

TEST_CASE("options that make no sense are refused with what is expected") {
  Options options;
  CHECK(options.set("grace_ms", "5"));
  CHECK(options.grace.count() == 5);
  for (const char* value : {"", "-1", "5s", "99999999999999999999"}) {
    CAPTURE(value);
    CHECK(options.set("grace_ms", value).error() == Errc::unknown_option);
  }
  // Sizes and counts: a negative one is not a large one.
  for (const char* name : {"memory_bytes", "workers", "checked", "several_communicators"}) {
    CAPTURE(name);
    const auto refused = options.set(name, "-1");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message().find("'-1': expected ") != std::string::npos);
  }
  CHECK(options.set("memory_bytes", "0").error() == Errc::unknown_option);
  CHECK(options.set("speed", "1").error() == Errc::unknown_option);
  CHECK(
      options.set("grace-sm", "5").error().message() ==
      "option 'grace-sm' = '5': did you mean grace_ms? this platform knows grace_ms, memory_bytes, checked, "
      "several_communicators, workers");
  CHECK(options.set("speed", "1").error().message().find("did you mean") == std::string::npos);
}

TEST_CASE("limits from the environment: what makes no sense is ignored with a warning") {
  std::vector<std::string> warnings;
  troupe_host table{};
  table.abi_version = TROUPE_DEVICE_ABI_VERSION;
  table.size = sizeof table;
  table.data = &warnings;
  table.log = [](void* data, std::int32_t, std::int32_t, const char* text) {
    static_cast<std::vector<std::string>*>(data)->emplace_back(text);
  };
  const HostServices host(&table);
  const auto with = [&](const char* name, const char* value) {
    setenv(name, value, 1);
    const auto limits = GraphLimits::from_environment(host, std::uint64_t{64} << 30);
    unsetenv(name);
    return limits;
  };
  CHECK(with("PTO2_RING_TASK_WINDOW", "8").task_window == 8);
  CHECK(with("PTO2_RING_HEAP", "4096").arena_bytes == 4096);
  CHECK(with("PTO2_RING_DEP_POOL", "5").dependency_pool == 5);
  const auto four = with("PTO2_RING_TASK_WINDOW", "8,16,4,4");
  CHECK(four.task_window == 16);
  CHECK(four.windows == GraphLimits::PerArena<std::uint64_t>{8, 16, 4, 4});
  CHECK(with("PTO2_RING_HEAP", "1024,2048,1024,1024").arenas ==
        GraphLimits::PerArena<std::uint64_t>{1024, 2048, 1024, 1024});
  CHECK(warnings.empty());
  for (const char* wrong : {"8,8", "8,8,8,8,8", "8,8,8,7", "8,", ",8", "8;8", ""})
    CHECK(with("PTO2_RING_TASK_WINDOW", wrong).task_window == 16384);
  CHECK(warnings.size() == 7);
  warnings.clear();
  CHECK(with("PTO2_RING_TASK_WINDOW", "7").task_window == 16384);
  CHECK(with("PTO2_RING_TASK_WINDOW", "2").task_window == 16384);
  CHECK(with("PTO2_RING_HEAP", "many").arena_bytes == 256 * mebibyte);
  CHECK(with("PTO2_RING_DEP_POOL", "3").dependency_pool == 0);
  CHECK(warnings.size() == 4);
}

TEST_CASE("a flag is called by where its user knows it: argument, window, address") {
  CHECK(to_string(FlagPlace::argument(3, 17)) == "element 17 of tensor argument 3");
  CHECK(to_string(FlagPlace::window(63, 4096)) == "byte 4096 of the window of rank 63");
  CHECK(to_string(FlagPlace::memory(bytes(0x7f0012345678))) == "0x7f0012345678");
  CHECK(to_string(FlagPlace::from_word(FlagPlace::window(1, 8).word())) == "byte 8 of the window of rank 1");
}

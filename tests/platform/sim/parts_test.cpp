// The parts below the ABI, on their own.
#include <doctest/doctest.h>

#include <cstring>

#include "engine/core_pool.hpp"
#include "memory/device_memory.hpp"
#include "kernels/flag_waits.hpp"
#include "engine/graph_limits.hpp"
#include "options.hpp"
#include "kernels/pipes.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::platform::sim;
using troupe::platform::Errc;

namespace {

constexpr std::size_t mebibyte = std::size_t{1} << 20;

unsigned char* bytes(std::uint64_t address) { return reinterpret_cast<unsigned char*>(address); }

}  // namespace

TEST_CASE("device memory is zeroed, aligned, bounded and counted") {
  DeviceMemory memory(mebibyte);
  const auto a = memory.allocate(1000, "a").value();
  CHECK(a % 4096 == 0);
  for (int i = 0; i < 1000; ++i) CHECK(bytes(a)[i] == 0);
  CHECK(memory.statistics().in_use == 1000);
  const auto full = memory.allocate(mebibyte, "too much");
  REQUIRE_FALSE(full);
  CHECK(full.error() == Errc::out_of_memory);
  CHECK(full.error().message().find("memory map") != std::string::npos);
  CHECK(full.error().message().find("1000 bytes  a") != std::string::npos);
  CHECK(memory.live().size() == 1);
  REQUIRE(memory.release(a));
  CHECK(memory.statistics().in_use == 0);
  CHECK(memory.statistics().peak == 1000);
  CHECK(memory.allocate(mebibyte, "all of it"));
}

TEST_CASE("what the host does not have is refused with both amounts, before anything is taken") {
  CHECK(DeviceMemory::host_has(mebibyte, "a little"));
  const auto refused = DeviceMemory::host_has(std::size_t{1} << 50, "copies of arguments");
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == Errc::out_of_memory);
  CHECK(refused.error().message().find("1125899906842624 bytes of device memory for copies of arguments") !=
        std::string::npos);
}

TEST_CASE("every wrong address is told apart: freed, freed twice, interior, foreign, out of range") {
  DeviceMemory memory(mebibyte);
  const auto a = memory.allocate(4096, "a").value();
  const auto b = memory.allocate(100, "b").value();
  CHECK(memory.check(a, 4096, "t"));
  CHECK(memory.check(a + 96, 4000, "t"));
  CHECK(memory.check(a, 4097, "t").error() == Errc::out_of_range);
  CHECK(memory.check(a + 1, ~std::size_t{0}, "t").error() == Errc::out_of_range);
  CHECK(memory.check(b, 101, "t").error() == Errc::out_of_range);
  int stranger = 0;
  CHECK(memory.check(reinterpret_cast<std::uint64_t>(&stranger), 4, "t").error() == Errc::bad_address);
  CHECK(memory.release(a + 64).error() == Errc::bad_address);
  REQUIRE(memory.release(a));
  const auto freed = memory.check(a + 8, 8, "tensor 3 of 'add'");
  CHECK(freed.error() == Errc::bad_address);
  CHECK(freed.error().message().find("was freed") != std::string::npos);
  CHECK(freed.error().message().find("tensor 3 of 'add'") != std::string::npos);
  CHECK(memory.release(a).error() == Errc::double_free);
}

TEST_CASE("a write past the end of an allocation is found when it is freed") {
  DeviceMemory memory(mebibyte);
  const auto a = memory.allocate(100, "a").value();
  bytes(a)[100] = 1;
  const auto found = memory.release(a);
  REQUIRE_FALSE(found);
  CHECK(found.error() == Errc::out_of_range);
  CHECK(memory.statistics().live_allocations == 0);
}

TEST_CASE("memory can be had and given back for ever") {
  DeviceMemory memory(mebibyte);
  for (std::uint64_t round = 0; round < 20'000; ++round) {
    auto a = memory.allocate(512 * 1024 - round % 7, "a");
    REQUIRE(a);
    auto b = memory.allocate(1 + round % 9000, "b");
    REQUIRE(b);
    REQUIRE(memory.release(*a));
    REQUIRE(memory.release(*b));
  }
}

TEST_CASE("window slices are memory of the chip, which it cannot free") {
  DeviceMemory memory(mebibyte);
  std::vector<char> window(8192);
  const auto base = reinterpret_cast<std::uint64_t>(window.data());
  memory.add_window(base, window.size(), "window of rank 0");
  CHECK(memory.check(base + 100, 8092, "t"));
  CHECK(memory.check(base + 100, 8093, "t").error() == Errc::out_of_range);
  CHECK(memory.release(base).error() == Errc::bad_address);
  memory.remove_window(base);
  CHECK(memory.check(base, 1, "t").error() == Errc::bad_address);
}

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
  CHECK(warnings.empty());
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

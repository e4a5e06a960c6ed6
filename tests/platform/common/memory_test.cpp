#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "memory/memory.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::platform::common;
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

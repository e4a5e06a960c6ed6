#include <doctest/doctest.h>

#include "parts/chip_parts.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::platform::sim;
using test::ChipParts;
using troupe::platform::Errc;

namespace {

struct Graph {
  runtime::TaskGraph graph{[] {
    runtime::TaskGraphConfig config;
    config.arena_bytes.fill(test::mebibyte);
    return config;
  }()};
  /// A task that writes it, which is running now.
  void place(const runtime::BufferRef& buffer, std::uint64_t bytes) {
    const auto access = runtime::Access::whole(buffer, bytes, runtime::Tag::out);
    runtime::TaskSpec spec;
    spec.name = "writer";
    spec.accesses = {&access, 1};
    REQUIRE(graph.submit(spec));
    REQUIRE(graph.pop_ready(0));
  }
};

}  // namespace

TEST_CASE("an intermediate has memory once the graph has placed it, and an owner once it has one") {
  Graph g;
  DeviceMemory memory(16 * test::mebibyte);
  Intermediates intermediates(memory, test::mebibyte, false);
  intermediates.begin(g.graph, test::mebibyte);
  const auto buffer = intermediates.make(100).value();
  const auto other = intermediates.make(100).value();
  std::optional<Error> refusal;
  CHECK(intermediates.address_of(buffer, refusal) == 0);
  CHECK_FALSE(refusal);
  CHECK(intermediates.owner_of(buffer) == runtime::no_owner);
  intermediates.own(buffer, 7);
  CHECK(intermediates.owner_of(buffer) == 7);
  CHECK(intermediates.owner_of(other) == runtime::no_owner);

  g.place(buffer, 100);
  const std::uint64_t address = intermediates.place(buffer, refusal);
  CHECK(address != 0);
  CHECK(intermediates.address_of(buffer, refusal) == address);
  CHECK(memory.statistics().internal >= test::mebibyte);
}

TEST_CASE("an arena that the chip has no memory for is refused") {
  Graph g;
  DeviceMemory memory(64 * 1024);
  Intermediates intermediates(memory, test::mebibyte, false);
  intermediates.begin(g.graph, test::mebibyte);
  const auto buffer = intermediates.make(100).value();
  g.place(buffer, 100);
  std::optional<Error> refusal;
  CHECK(intermediates.place(buffer, refusal) == 0);
  REQUIRE(refusal);
  CHECK(*refusal == Errc::out_of_memory);
}

TEST_CASE("on a checked chip new memory is poisoned once, and a write next to it is found once") {
  Graph g;
  DeviceMemory memory(16 * test::mebibyte, true);
  Intermediates intermediates(memory, test::mebibyte, true);
  intermediates.begin(g.graph, test::mebibyte);
  const auto buffer = intermediates.make(100).value();
  g.place(buffer, 100);
  std::optional<Error> refusal;
  const std::uint64_t address = intermediates.place(buffer, refusal);
  REQUIRE(address != 0);
  auto* bytes = reinterpret_cast<unsigned char*>(address);
  CHECK(bytes[0] == 0xFF);
  CHECK(bytes[99] == 0xFF);
  bytes[0] = 1;
  CHECK(intermediates.place(buffer, refusal) == address);
  CHECK(bytes[0] == 1);

  CHECK_FALSE(intermediates.take_overstep(buffer, address));
  bytes[102] = 1;
  const auto found = intermediates.take_overstep(buffer, address);
  REQUIRE(found);
  CHECK(found->where == Overstep::Where::behind);
  CHECK(found->nearest == 3);
  CHECK_FALSE(intermediates.take_overstep(buffer, address));
}

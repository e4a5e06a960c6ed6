#include <doctest/doctest.h>

#include "runtime/graph/fixture.hpp"
#include "runtime/graph/program.hpp"
#include "support/random.hpp"
#include "troupe/runtime/block_arena.hpp"

namespace {

using namespace troupe::runtime;
using namespace troupe::test;
using Ids = std::vector<TaskId>;

struct MemoryFixture : GraphFixture {
  MemoryFixture() : GraphFixture({.arena_bytes = {4096, 4096, 2048, 1024}}) {}
  BufferRef make(std::uint64_t size, std::string_view name = {}) { return graph.alloc(size, name).value(); }
};

TEST_CASE_FIXTURE(MemoryFixture, "an intermediate has memory from its first use to its last reader") {
  const BufferRef c = make(100, "c");
  CHECK_FALSE(graph.placement(c));
  const TaskId write = task("write", {on(c, 100, Tag::out)});
  const auto place = graph.placement(c);
  REQUIRE(place);
  CHECK(place->offset % 1024 == 0);
  CHECK(place->bytes == 1024);
  const TaskId read = task("read", {on(c, 100, Tag::in)});
  CHECK(graph.release(c));
  CHECK_FALSE(graph.release(c));
  CHECK(graph.submit({.name = "late", .accesses = list({on(c, 100, Tag::in)})}).error() ==
        Errc::invalid_args);
  pop_all();
  graph.complete(write);
  CHECK(graph.placement(c));
  pop_all();
  graph.complete(read);
  CHECK_FALSE(graph.placement(c));
}

TEST_CASE_FIXTURE(MemoryFixture, "a submit never waits for memory: the task is blocked, later ones go on") {
  std::vector<BufferRef> blocks;
  for (int i = 0; i < 4; ++i) {
    blocks.push_back(make(1024));
    task("fill", {on(blocks.back(), 1024, Tag::out)});
  }
  const BufferRef more = make(1024, "more");
  const TaskId waits = task("waits", {on(more, 1024, Tag::out)});
  const TaskId free = task("free", {on(0, Tag::out)});
  CHECK(graph.state(waits) == TaskState::blocked);
  CHECK(graph.why(waits).find("1024 bytes for \"more\" in arena 0 (0 free") != std::string::npos);
  const Ids running = pop_all();
  CHECK(running.size() == 5);
  CHECK(running.back() == free);
  for (const TaskId id : running) graph.complete(id);
  CHECK(graph.deadlock() == Errc::heap_ring_deadlock);
  CHECK(graph.deadlock()->message().find("named by a handle") != std::string::npos);
  graph.release(blocks[2]);  // individually, not the oldest first
  CHECK(pop_all() == Ids{waits});
}

TEST_CASE_FIXTURE(MemoryFixture,
                  "what can never fit is an error at once, with a memory map, and leaves nothing behind") {
  const auto large = graph.alloc(5000, "large");
  REQUIRE_FALSE(large);
  CHECK(large.error() == Errc::heap_ring_deadlock);
  CHECK(large.error().message().find("arena 0: 0 of 4096 bytes used") != std::string::npos);
  std::vector<Access> five;
  for (int i = 0; i < 5; ++i) five.push_back(on(make(1000), 1000, Tag::out));
  const auto refused = graph.submit({.name = "five", .accesses = five});
  REQUIRE_FALSE(refused);
  CHECK(refused.error() == Errc::heap_ring_deadlock);
  CHECK(graph.status().live == 0);  // defect 6
  REQUIRE(graph.submit({.name = "four", .accesses = std::span(five).first(4)}));
}

TEST_CASE_FIXTURE(MemoryFixture, "each scope depth has its arena, scopes end handles, and never block") {
  const BufferRef outer = make(1024);
  CHECK_FALSE(graph.end_scope());
  REQUIRE(graph.begin_scope());
  REQUIRE(graph.begin_scope());
  REQUIRE(graph.begin_scope());
  REQUIRE(graph.begin_scope());
  const BufferRef deep = make(1024);
  const TaskId write = task("write", {on(deep, 1024, Tag::out), on(outer, 1024, Tag::out)});
  CHECK(graph.placement(deep)->arena == 3);
  CHECK(graph.placement(outer)->arena == 0);
  REQUIRE(graph.end_scope());
  CHECK_FALSE(graph.retain(deep));
  CHECK(graph.placement(deep));  // its task has not run
  pop_all();
  graph.complete(write);
  CHECK_FALSE(graph.placement(deep));
  CHECK(graph.placement(outer));
  graph.close();
  CHECK_FALSE(graph.placement(outer));
  CHECK(graph.submit({.name = "late"}).error() == Errc::invalid_args);
}

TEST_CASE_FIXTURE(MemoryFixture, "scopes nest to 64 and no deeper") {
  for (int i = 0; i < 64; ++i) REQUIRE(graph.begin_scope());
  CHECK(graph.begin_scope().error() == Errc::invalid_args);
  for (int i = 0; i < 64; ++i) REQUIRE(graph.end_scope());
  CHECK_FALSE(graph.end_scope());
}

TEST_CASE_FIXTURE(MemoryFixture,
                  "memory is given in the order of first use, so a program that fits does not get stuck") {
  const BufferRef a = make(2048), b = make(2048), c = make(2048);
  const TaskId first =
      graph.submit({.name = "first", .events = 1, .accesses = list({on(a, 2048, Tag::out)})}).value();
  task("second", {on(a, 2048, Tag::in), on(b, 2048, Tag::out)});
  const TaskId third = task("third", {on(c, 2048, Tag::out)});  // could take the memory that `second` needs
  graph.release(a);
  graph.release(b);
  CHECK(graph.state(third) == TaskState::blocked);
  graph.signal(first);
  run_all();
  CHECK(graph.status().completed == 3);
}

TEST_CASE_FIXTURE(MemoryFixture, "a poisoned task does not wait for memory it will not use") {
  const BufferRef full = make(4096);
  task("fill", {on(full, 4096, Tag::out)});
  const TaskId bad = task("bad", {on(0, Tag::out)});
  const BufferRef more = make(1024);
  const TaskId waits = task("waits", {on(0, Tag::in), on(more, 1024, Tag::out)});
  for (const TaskId id : pop_all()) id == bad ? graph.fail(id, broken()) : graph.complete(id);
  CHECK(graph.pop_ended()->id == waits);
  CHECK(graph.status().live == 0);
}

TEST_CASE_FIXTURE(MemoryFixture, "a reused place does not inherit the failure of its last owner") {
  const BufferRef a = make(1024);
  const TaskId bad = task("bad", {on(a, 1024, Tag::out)});
  graph.release(a);
  pop_all();
  graph.fail(bad, broken());
  const BufferRef b = make(1024);
  CHECK(b.offset == a.offset);
  CHECK_FALSE(b == a);
  task("read", {on(b, 1024, Tag::in)});
  CHECK(graph.ready_count(0) == 1);
  CHECK(graph.submit({.accesses = list({on(a, 1024, Tag::in)})}).error() == Errc::invalid_args);
}

TEST_CASE(
    "blocks of an arena never overlap, merge when freed, and are refused only when none is large enough") {
  for (std::uint64_t seed = first_seed(); seed < first_seed() + seeds(50); ++seed) {
    Random random(seed);
    BlockArena arena(64 * 128, 64);
    std::vector<BlockArena::Grant> live;
    for (int step = 0; step < 300; ++step) {
      INFO("TROUPE_SEED=" << seed << ", step " << step);
      if (!live.empty() && chance(random, 45)) {
        const std::size_t at = below(random, live.size());
        REQUIRE(arena.free(live[at].handle));
        live.erase(live.begin() + static_cast<std::ptrdiff_t>(at));
      } else {
        const std::uint64_t bytes = 1 + below(random, 1500), largest = arena.largest_free();
        const auto grant = arena.allocate(bytes);
        REQUIRE(grant.has_value() == (largest >= arena.rounded(bytes)));
        if (grant) live.push_back(*grant);
      }
      std::uint64_t end = 0, used = 0;
      bool last_free = false;
      for (const auto& block : arena.blocks()) {
        REQUIRE(block.offset == end);
        REQUIRE_FALSE((last_free && !block.used));
        end += block.bytes;
        used += block.used ? block.bytes : 0;
        last_free = !block.used;
      }
      REQUIRE(end == arena.bytes());
      REQUIRE(used == arena.used());
    }
    for (const auto& grant : live) REQUIRE(arena.free(grant.handle));
    CHECK(arena.largest_free() == arena.bytes());
  }
}

}  // namespace

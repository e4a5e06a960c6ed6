#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "parts/chip_parts.hpp"

using namespace troupe;
using namespace troupe::platform::sim;
using runtime::Tag;
using test::ChipParts;

namespace {

struct Seen {
  std::uint64_t task, ready_ns;
  std::vector<std::uint64_t> producers;
};

troupe_host host_that_notes(std::vector<Seen>& seen) {
  troupe_host table{};
  table.abi_version = TROUPE_DEVICE_ABI_VERSION;
  table.size = sizeof table;
  table.data = &seen;
  table.trace = [](void* data, const troupe_trace_event* events, std::size_t count) {
    for (const auto& event : std::span(events, count)) {
      static_cast<std::vector<Seen>*>(data)->push_back(
          {event.task, event.ready_ns, {event.producers, event.producers + event.producer_count}});
    }
  };
  return table;
}

}  // namespace

TEST_CASE("a trace finds the producers of a task again, by memory and by hand") {
  std::vector<Seen> seen;
  const troupe_host table = host_that_notes(seen);
  ChipParts chip(false, &table);
  chip.run.flags = TROUPE_RUN_PROFILE;
  const auto a = test::vector_in(chip.memory, 8), b = test::vector_in(chip.memory, 8);
  chip.begin({a, b});
  REQUIRE(chip.traces.traces());
  CHECK_FALSE(chip.traces.dumps());
  CoreSlot slot;
  std::uint64_t time = 100;
  const auto run = [&](const std::vector<ChipParts::Argument>& arguments,
                       const std::vector<std::uint64_t>& after) {
    TaskRecord* task = chip.build(chip.kernel("k"), arguments);
    chip.traces.number(*task, 0);
    chip.submit(task, kinds::short_aiv);
    task->submitted_ns = 1;
    chip.traces.submitted(*task, chip.builder.accesses(), after);
    chip.traces.add(TaskTraces::event_of({.task = task, .lane = TROUPE_CHIP_AIV0}, slot, time, time + 10));
    time += 100;
    return to_number(task->id);
  };
  const std::uint64_t first = run({{a, Tag::inout}}, {});
  run({{b, Tag::inout}}, {});
  run({{a, Tag::in}}, {});
  run({{b, Tag::in}}, {first});
  run({{a, Tag::in}}, {});  // readers do not wait for each other
  chip.traces.deliver();
  REQUIRE(seen.size() == 5);
  using Numbers = std::vector<std::uint64_t>;
  CHECK(seen[0].producers.empty());
  CHECK(seen[2].producers == Numbers{1});
  CHECK(seen[2].ready_ns == 110);
  CHECK(seen[3].producers == Numbers{1, 2});
  CHECK(seen[3].ready_ns == 210);
  CHECK(seen[4].producers == Numbers{1});

  seen.clear();
  chip.traces.deliver();
  CHECK(seen.empty());
}

TEST_CASE("a host that takes no traces gets none, whatever a run asks for") {
  ChipParts chip;
  chip.run.flags = TROUPE_RUN_PROFILE | TROUPE_RUN_DUMP;
  chip.traces.begin(chip.run);
  CHECK_FALSE(chip.traces.any());
}

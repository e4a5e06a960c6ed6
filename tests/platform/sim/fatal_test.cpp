// The ends of a graph that come from its limits and from waits that nobody can end; the scenes have all
// codes.
#include <doctest/doctest.h>

#include <cstdlib>

#include "fixture.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

/// A limit for the chips that are made while it lives.
class Limit {
 public:
  Limit(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Limit() { unsetenv(name_); }
  Limit(const Limit&) = delete;
  Limit& operator=(const Limit&) = delete;

 private:
  const char* name_;
};

Error error_of(Chip& chip, const char* program, std::int32_t count) {
  std::int32_t flag = 0;
  const auto done = chip.run(chip.add(program), RunArgs::of(inout(Tensor::host(&flag, {1})), scalar(count)));
  CHECK(flag == 0);
  return done ? Error(Errc::internal, "it succeeded") : done.error();
}

}  // namespace

// The raise is submitted behind `count` tasks that wait for the waiter.
TROUPE_CHIP_PROGRAM(raises_late)(ChipOrchestrator& chip, ChipArgs args) {
  const auto x = chip.alloc(out_new<std::int32_t>({1}).fill(std::int32_t{0}));
  chip.aiv("wait_forever", runtime::no_dep(args.tensor(0)), inout(x));
  for (int i = 0; i < args.scalar<std::int32_t>(0); ++i) chip.aiv("count_one", inout(x));
  chip.aiv("raise", runtime::no_dep(args.tensor(0)));
}
TROUPE_CHIP_PROGRAM(asks_before_it_raises)(ChipOrchestrator& chip, ChipArgs args) {
  const auto x = chip.alloc(out_new<std::int32_t>({1}).fill(std::int32_t{0}));
  chip.aiv("wait_forever", runtime::no_dep(args.tensor(0)), inout(x));
  static_cast<void>(chip.get<std::int32_t>(x, 0));
  chip.aiv("raise", runtime::no_dep(args.tensor(0)));
}
TROUPE_CHIP_PROGRAM(asks_for_too_much)(ChipOrchestrator& chip, ChipArgs args) {
  Tensor last = args.tensor(0);
  for (int i = 0; i < args.scalar<std::int32_t>(0); ++i) {
    last = chip.aiv("nothing", out_new<std::int32_t>({256}));
  }
  static_cast<void>(chip.get<std::int32_t>(last, 0));
}
TROUPE_CHIP_PROGRAM_WITH(chained_host_graph, TROUPE_CHIP_RUNTIME_HOST_GRAPH)
(ChipOrchestrator& chip, ChipArgs args) {
  ChipTaskId last;
  for (int i = 0; i < args.scalar<std::int32_t>(0); ++i) last = chip.aiv("nothing", after(last));
}
TROUPE_CHIP_PROGRAM_WITH(gathers_in_one, TROUPE_CHIP_RUNTIME_CHIP_GRAPH)
(ChipOrchestrator& chip, ChipArgs) {
  const auto one = chip.aiv("nothing");
  chip.aiv("nothing", after(one), after(one), after(one), after(one), after(one));
}

TEST_CASE("a window that is full of tasks which nothing in it can end is fatal 3, with what is waited for") {
  const Limit window("PTO2_RING_TASK_WINDOW", "8");
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    const auto failed = error_of(chip, "raises_late", 100);
    CHECK(failed.code().value == 3);
    CHECK(failed.message().find("flag at element 0 of tensor argument 0 == 1") != std::string::npos);
    // It was the window: four tasks fit.
    std::int32_t flag = 0;
    CHECK(chip.run(1, RunArgs::of(inout(Tensor::host(&flag, {1})), scalar(4))));
    CHECK(flag == 1);
  }
}

TEST_CASE("a dependency pool that no task can empty is fatal 4, one task that exceeds it fatal 6") {
  const Limit pool("PTO2_RING_DEP_POOL", "4");
  Chip chip("a2a3sim");
  CHECK(error_of(chip, "chained_host_graph", 100).code().value == 4);
  CHECK(error_of(chip, "gathers_in_one", 0).code().value == 6);
}

TEST_CASE("asking for an element whose task waits for what the program has not submitted yet is fatal 8") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    const auto failed = error_of(chip, "asks_before_it_raises", 0);
    CHECK(failed.code().value == 8);
    CHECK(failed.message().find("flag at element 0 of tensor argument 0 == 1") != std::string::npos);
  }
}

TEST_CASE("asking for an element that finds no memory is fatal 2, with the arena's map") {
  const Limit heap("PTO2_RING_HEAP", "8192");
  Chip chip("a5sim");
  const auto failed = error_of(chip, "asks_for_too_much", 9);
  CHECK(failed.code().value == 2);
  CHECK(failed.message().find("arena") != std::string::npos);
  CHECK(chip.run(1, RunArgs::of(inout(Tensor::host(&*std::make_unique<std::int32_t>(0), {1})), scalar(8))));
}

// A short kernel that never waited is run several times in a row by one thread. The one in the middle waits
// for one that can only start when the one before it has ended, and the one behind it must not wait for
// either.
TROUPE_CHIP_PROGRAM(waits_in_a_row)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [flag, x, y] = args.tensors<3>();
  for (int i = 0; i < 200; ++i) chip.aiv("maybe_wait", inout(x), scalar(std::int32_t{0}));
  static_cast<void>(chip.get<std::int32_t>(x, 0));
  const auto first = chip.aiv("maybe_wait", runtime::no_dep(flag), scalar(std::int32_t{0}));
  chip.aiv("maybe_wait", runtime::no_dep(flag), scalar(std::int32_t{1}));
  chip.aiv("maybe_wait", inout(y), scalar(std::int32_t{0}));
  chip.aiv("raise", runtime::no_dep(flag), after(first));
}

TEST_CASE("a kernel that waits for the first time keeps nothing back that could end its wait") {
  for (int round = 0; round < 20; ++round) {
    CAPTURE(round);
    Chip chip(platforms[static_cast<std::size_t>(round) % platforms.size()]);
    std::int32_t words[3] = {};
    REQUIRE(chip.run(chip.add("waits_in_a_row"),
                     RunArgs::of(inout(Tensor::host(&words[0], {1})), inout(Tensor::host(&words[1], {1})),
                                 inout(Tensor::host(&words[2], {1})))));
    CHECK(words[0] == 1);
  }
}

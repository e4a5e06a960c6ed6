#include <doctest/doctest.h>

#include <algorithm>

#include "fixture.hpp"

using namespace troupe;
using namespace troupe::test;
using runtime::Compare;

namespace {
std::vector<std::int32_t> zeros(std::size_t count) { return std::vector<std::int32_t>(count, 0); }
Tensor of(std::vector<std::int32_t>& data) { return Tensor::host(data.data(), {data.size()}); }
}  // namespace

// Each active core adds 1 to its place in a meeting word, and waits until all have come.
TROUPE_CHIP_PROGRAM(all_shapes)(ChipOrchestrator& chip, ChipArgs args) {
  auto x = args.tensor(0);
  const Mixed shapes[] = {
      {"meet", "meet", "meet"}, {"meet", "meet", {}}, {"meet", {}, "meet"}, {{}, "meet", "meet"}};
  const int members[] = {3, 2, 2, 2};
  std::uint64_t row = 0;
  for (const auto& shape : shapes) {
    auto word = chip.alloc(out_new<std::int32_t>({1}).fill(std::int32_t{0}));
    chip.mixed(shape, inout(x.slice(0, row, row + 1)), inout(word), scalar(members[row]));
    ++row;
  }
  for (const bool on_aic : {true, false}) {
    auto word = chip.alloc(out_new<std::int32_t>({1}).fill(std::int32_t{0}));
    auto place = x.slice(0, row, row + 1);
    if (on_aic) {
      chip.aic("meet", inout(place), inout(word), scalar(1));
    } else {
      chip.mixed({{}, {}, "meet"}, inout(place), inout(word), scalar(1));
    }
    ++row;
  }
}

// All blocks meet, which they can only when they run at the same time.
TROUPE_CHIP_PROGRAM(meet_in_blocks)(ChipOrchestrator& chip, ChipArgs args) {
  const auto count = args.scalar<std::uint32_t>(0);
  auto word = chip.alloc(out_new<std::int32_t>({1}).fill(std::int32_t{0}));
  if (args.scalar<int>(1) != 0) {
    chip.mixed({"meet", "meet", "meet"}, inout(args.tensor(0)), inout(word),
               scalar(static_cast<int>(count) * 3), blocks(count), sync_start);
  } else {
    chip.aiv("meet", inout(args.tensor(0)), inout(word), scalar(static_cast<int>(count)), blocks(count),
             sync_start);
  }
}

TROUPE_CHIP_PROGRAM(many_blocks)(ChipOrchestrator& chip, ChipArgs args) {
  const auto count = args.scalar<std::uint32_t>(0);
  chip.aiv("count_blocks", inout(args.tensor(0)), blocks(count));
  chip.aic("count_blocks", inout(args.tensor(0)), blocks(count));
  chip.mixed({"count_blocks", "count_blocks", "count_blocks"}, inout(args.tensor(0)), blocks(count));
}

// Ordinary tasks all around must not starve the set that needs every core.
TROUPE_CHIP_PROGRAM(starvation)(ChipOrchestrator& chip, ChipArgs args) {
  auto x = args.tensor(0);
  for (std::uint64_t i = 0; i < 18; ++i) {
    chip.mixed({"count_one", "count_one", "count_one"}, inout(x.slice(0, i, i + 1)), blocks(4));
    if (i % 9 != 4) continue;
    auto word = chip.alloc(out_new<std::int32_t>({1}).fill(std::int32_t{0}));
    chip.mixed({"meet", "meet", "meet"}, inout(x.slice(0, 18 + i / 9, 19 + i / 9)), inout(word), scalar(18),
               blocks(6), sync_start);
  }
}

TROUPE_CHIP_PROGRAM(predicates)(ChipOrchestrator& chip, ChipArgs args) {
  auto [x, flag] = args.tensors<2>();
  chip.aiv("count_one", inout(x.slice(0, 0, 1)), when(flag, Compare::equal, 1));
  chip.aiv("count_one", inout(x.slice(0, 1, 2)), when(flag, Compare::equal, 2));
  chip.aiv("count_one", inout(flag));  // now it is 2
  chip.aiv("count_one", inout(x.slice(0, 2, 3)), when(flag, Compare::greater, 1));
  chip.aiv("count_one", inout(x.slice(0, 3, 4)), when(flag, Compare::less, 2), blocks(3));
}

TROUPE_CHIP_PROGRAM(predicate_past_its_tensor)(ChipOrchestrator& chip, ChipArgs args) {
  auto [x, flag] = args.tensors<2>();
  chip.aiv("count_one", inout(x), when(flag.slice(0, 0, 1), Compare::equal, 1, 1));
}

TROUPE_KERNEL(for_the_aic)(runtime::KernelArgs& k) { ++k.tensor<std::int32_t>(0)[0]; }
TROUPE_KERNEL(for_the_first_aiv)(runtime::KernelArgs& k) { ++k.tensor<std::int32_t>(0)[1]; }
TROUPE_KERNEL(for_the_second_aiv)(runtime::KernelArgs& k) { ++k.tensor<std::int32_t>(0)[2]; }
TROUPE_CHIP_PROGRAM(three_kernels)(ChipOrchestrator& chip, ChipArgs args) {
  chip.mixed({"for_the_aic", "for_the_first_aiv", "for_the_second_aiv"}, inout(args.tensor(0)));
}

TEST_CASE(
    "the five shapes of a cluster task run their cores at the same time, with the lanes they were given") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    auto seen = zeros(6);
    REQUIRE(chip.run(chip.add("all_shapes"), RunArgs::of(inout(of(seen)))));
    // 1 for each core, 100 more for the second vector lane; a lone aiv1 is an aiv0.
    CHECK(seen == std::vector<std::int32_t>{103, 2, 102, 102, 1, 1});
  }
}

TEST_CASE("the blocks of a sync_start task run at the same time, up to the whole chip and not one more") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    const auto program = chip.add("meet_in_blocks");
    const std::uint32_t clusters = chip.context.properties()->clusters;
    for (const bool mixed : {false, true}) {
      const std::uint32_t capacity = clusters * (mixed ? 1 : 2);
      for (const std::uint32_t count : {1u, 2u, capacity - 1, capacity, capacity + 1}) {
        CAPTURE(count);
        auto seen = zeros(1);
        auto done = chip.run(program, RunArgs::of(inout(of(seen)), scalar(count), scalar(mixed ? 1 : 0)));
        if (count <= capacity) {
          REQUIRE(done);
          CHECK(seen[0] % 100 == static_cast<std::int32_t>((mixed ? 3 * count : count) % 100));
        } else {
          REQUIRE_FALSE(done);
          CHECK(done.error().code().value == 7);
        }
      }
    }
  }
}

TEST_CASE("block_dim bounds the cores of a run") {
  Chip chip("a2a3sim");
  auto seen = zeros(1);
  const auto args = RunArgs::of(inout(of(seen)), scalar(5u), scalar(0));
  auto run = args.run(0, chip.add("meet_in_blocks"));
  run.block_dim = 2;  // four vector cores
  auto refused = chip.context.run(run);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code().value == 7);
  run.block_dim = 3;
  CHECK(chip.context.run(run));
  run.block_dim = 25;
  CHECK(chip.context.run(run).error() == Errc::capacity_exceeded);
  run.block_dim = 3;
  run.control_threads = 3;  // two of them schedule
  CHECK(chip.context.run(run).error().code().value == 111);
  run.control_threads = 5;
  CHECK(chip.context.run(run).error() == Errc::capacity_exceeded);
}

TEST_CASE("every block of a wide task runs once, on every kind of core") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    const auto program = chip.add("many_blocks");
    for (const std::uint32_t count : {1u, 4u, 48u, 96u}) {
      CAPTURE(count);
      auto seen = zeros(count);
      REQUIRE(chip.run(program, RunArgs::of(inout(of(seen)), scalar(count))));
      // aiv, aic, and a cluster whose second vector lane counts double
      CHECK(seen == std::vector<std::int32_t>(count, 1 + 1 + 1 + 1 + 2));
    }
  }
}

TEST_CASE("sets that start together are not starved") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    auto seen = zeros(20);
    auto args = RunArgs::of(inout(of(seen)));
    auto run = args.run(0, chip.add("starvation"));
    run.block_dim = 8;
    REQUIRE(chip.context.run(run));
    for (std::size_t i = 0; i < 18; ++i) CHECK(seen[i] == 12);
    CHECK(seen[18] == 618);
    CHECK(seen[19] == 618);
  }
}

TEST_CASE("a task with a predicate runs only when it holds at its turn") {
  Chip chip("a2a3sim");
  auto seen = zeros(4), flag = zeros(1);
  flag[0] = 1;
  REQUIRE(chip.run(chip.add("predicates"), RunArgs::of(inout(of(seen)), inout(of(flag)))));
  CHECK(seen == std::vector<std::int32_t>{1, 0, 1, 0});
}

TEST_CASE("a predicate that looks past its tensor is refused") {
  Chip chip("a2a3sim");
  auto seen = zeros(1), flag = zeros(2);
  flag[1] = 1;
  const auto error =
      chip.run(chip.add("predicate_past_its_tensor"), RunArgs::of(inout(of(seen)), inout(of(flag)))).error();
  CHECK(error.message().find("a predicate looks at element 1 of") != std::string::npos);
  CHECK(seen[0] == 0);
}

TEST_CASE("a bare kernel runs in blocks, together when asked to") {
  Chip chip("a5sim");
  auto seen = zeros(72);
  const auto args = RunArgs::of(inout(of(seen)));
  auto run = args.run(0, chip.add("count_blocks"));
  run.blocks = 72;
  REQUIRE(chip.context.run(run));
  CHECK(seen == std::vector<std::int32_t>(72, 1));
  run.flags = TROUPE_RUN_SYNC_START;
  REQUIRE(chip.context.run(run));
  CHECK(seen == std::vector<std::int32_t>(72, 2));
  run.blocks = 73;
  CHECK(chip.context.run(run).error() == Errc::capacity_exceeded);
}

TEST_CASE("foreign kernels of one cluster share storage by key, zeroed for each run") {
  Chip chip("a2a3sim");
  const auto id = chip.add_foreign("pipes", "pipes");
  for (int round = 0; round < 3; ++round) {
    auto seen = zeros(4);
    REQUIRE(chip.run(id, RunArgs::of(inout(of(seen)))));
    CHECK(seen == std::vector<std::int32_t>{10, 0, 1, 1});
  }
}

TEST_CASE("a trace names each lane of a mixed task after its own kernel") {
  Chip chip("a2a3sim");
  auto seen = zeros(3);
  const auto args = RunArgs::of(inout(of(seen)));
  auto run = args.run(0, chip.add("three_kernels"));
  run.flags = TROUPE_RUN_PROFILE;
  REQUIRE(chip.context.run(run));
  CHECK(seen == std::vector<std::int32_t>{1, 1, 1});
  std::map<std::string, std::uint32_t> kinds;
  for (std::size_t i = 0; i < chip.trace.size(); ++i) kinds[chip.trace_names[i]] = chip.trace[i].core_kind;
  CHECK(kinds == std::map<std::string, std::uint32_t>{{"for_the_aic", TROUPE_CORE_AIC},
                                                      {"for_the_first_aiv", TROUPE_CORE_AIV},
                                                      {"for_the_second_aiv", TROUPE_CORE_AIV},
                                                      {"three_kernels", TROUPE_CORE_CONTROL}});
}

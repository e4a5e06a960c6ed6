// Runs that are aborted at any moment. Of use under the thread sanitizer: an abort comes from another thread,
// and looks at what the run's own are at.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "../fixture.hpp"
#include "platform/conformance/graph_description.hpp"
#include "support/random.hpp"
#include "troupe/runtime/kernel.hpp"

using namespace troupe;
using namespace troupe::test;
using runtime::KernelArgs;

namespace {

constexpr std::uint32_t slot_count = 200, rounds = 4, all_tasks = slot_count * rounds;

/// Each task adds 1 to one slot; those of a slot come one after the other.
conformance::Description counting(std::uint64_t kernel, const RunArgs& like) {
  conformance::Description made;
  const auto run = like.run(1, kernel);
  for (std::uint32_t slot = 0; slot < slot_count; ++slot) made.slot(run.tensors[slot], slot + 1);
  for (std::uint32_t task = 0; task < all_tasks; ++task) {
    made.task(
        kernel, "counts",
        task < slot_count ? std::vector<std::uint32_t>() : std::vector<std::uint32_t>{task - slot_count});
    made.view(task % slot_count, Tag::inout);
  }
  return made;
}

RunArgs all_of(std::vector<std::uint64_t>& values) {
  RunArgs args;
  for (auto& value : values) args.add(inout(Tensor::host(&value, {1})));
  return args;
}

}  // namespace

TROUPE_KERNEL(adds_one)(KernelArgs& k) { ++*k.tensor<std::uint64_t>(0).data(); }

// The first launch of a graph on a chip makes room for its state, while an abort looks at what has begun.
// When the abort comes is found from where the last one met its run, so that most meet it as it is handed in.
TEST_CASE("an abort may come while a launched graph is being handed in") {
  std::uint64_t pause = 0, step = 1 << 12;
  bool was_early = true;
  for (std::uint64_t attempt = 0; attempt < cases(100); ++attempt) {
    CAPTURE(attempt);
    Chip chip(platforms[attempt % 2], {{"checked", "0"}, {"workers", "2"}});
    std::vector<std::uint64_t> values(slot_count);
    const auto args = all_of(values);
    const auto graph = chip.context.register_graph(counting(chip.add("adds_one"), args).graph()).value();
    REQUIRE(chip.context.launch_graph(args.run(1, graph)));
    for (std::atomic<std::uint64_t> i = 0; i < pause;) ++i;
    REQUIRE(chip.context.abort(1));
    const auto end = chip.completions.wait_for(1);
    const bool early = end.message.find("before it started") != std::string::npos;
    if (end.completion.code == 0) {
      CHECK(values == std::vector<std::uint64_t>(slot_count, rounds));
    } else {
      CHECK(end.completion.code == TROUPE_DEVICE_ABORTED);
      CHECK(values == std::vector<std::uint64_t>(slot_count));
    }
    if (early != was_early && step > 16) step /= 2;
    was_early = early;
    pause = early ? pause + step : pause - std::min(pause, step);

    values.assign(slot_count, 0);
    REQUIRE(chip.context.launch_graph(args.run(2, graph)));
    CHECK(chip.completions.wait_for(2).completion.code == 0);
    CHECK(values == std::vector<std::uint64_t>(slot_count, rounds));
  }
}

namespace {

constexpr std::uint64_t turns = 16;
using Values = std::vector<std::uint64_t>;

/// Of a program that adds `turns` to each of its elements in one way or another: aborted again and again.
void abort_anywhere(const char* name) {
  std::mt19937_64 numbers(first_seed());
  std::uint64_t run = 0, longest = 0;
  for (std::uint64_t attempt = 0; attempt < cases(8); ++attempt) {
    Chip chip(platforms[attempt % 2], {{"checked", attempt % 4 == 3 ? "1" : "0"}, {"workers", "3"}});
    const auto program = chip.add(name);
    for (run = 1; run <= 12; ++run) {
      CAPTURE(attempt);
      CAPTURE(run);
      Values values(16);
      const auto args = RunArgs::of(inout(Tensor::host(values.data(), {16})));
      const bool leave_alone = run % 4 == 0;
      // How long a run takes is counted in looks at whether it is over.
      const auto pause = leave_alone ? ~std::uint64_t{0} : numbers() % (longest + 1);
      const auto launched = args.run(run, program);
      REQUIRE(chip.context.launch({&launched, 1}));
      std::uint64_t looks = 0;
      while (looks < pause && chip.completions.count() < run) ++looks;
      if (leave_alone) {
        longest = looks;
      } else {
        REQUIRE(chip.context.abort(run));
      }
      const auto end = chip.completions.wait_for(run);
      if (end.completion.code == 0) {
        CHECK(values == Values(16, turns));
        continue;
      }
      CAPTURE(end.message);
      REQUIRE_FALSE(leave_alone);
      CHECK(end.completion.code == TROUPE_DEVICE_ABORTED);
      CHECK(values == Values(16));
    }
  }
}

}  // namespace

TROUPE_KERNEL(adds)(KernelArgs& k) {
  for (auto& value : k.tensor<std::uint64_t>(0)) value += k.scalar<std::uint64_t>(0);
}
TROUPE_KERNEL(adds_in_block)(KernelArgs& k) {
  const auto all = k.tensor<std::uint64_t>(0);
  for (std::size_t i = k.first(); i < all.size(); i += k.step()) all[i] += 1;
}
TROUPE_KERNEL(passes_on)(KernelArgs& k) { k.tensor<std::uint64_t>(1)[0] = k.tensor<std::uint64_t>(0)[0]; }

TROUPE_CHIP_PROGRAM(in_single_tasks)(ChipOrchestrator& chip, ChipArgs args) {
  for (std::uint64_t i = 0; i < turns * 16; ++i)
    chip.aiv("adds", inout(args.tensor(0).slice(0, i % 16, i % 16 + 1)), scalar(std::uint64_t{1}));
}
TROUPE_CHIP_PROGRAM(in_kept_graphs)(ChipOrchestrator& chip, ChipArgs args) {
  for (std::uint64_t i = 0; i < turns; ++i) {
    chip.graph("all", slots(inout(args.tensor(0)), scalar(std::uint64_t{1})), [&](GraphScalars given) {
      for (std::uint64_t at = 0; at < 16; ++at) {
        const Tensor cell = args.tensor(0).slice(0, at, at + 1);
        const Tensor kept = chip.aiv("passes_on", in(cell), out_new<std::uint64_t>({1}));
        chip.aic("adds", inout(kept), given[0]);
        chip.aiv("passes_on", in(kept), out(cell));
      }
    });
  }
}
TROUPE_CHIP_PROGRAM(in_blocks_and_scopes)(ChipOrchestrator& chip, ChipArgs args) {
  for (std::uint64_t i = 0; i < turns; ++i) {
    const auto scope = chip.scope();
    if (i % 4 == 0) {
      chip.aiv("adds_in_block", inout(args.tensor(0)), blocks(4), sync_start);
    } else if (i % 4 == 1) {
      chip.aiv("adds_in_block", inout(args.tensor(0)), blocks(5));
    } else if (i % 4 == 2) {
      const Tensor one = chip.alloc(out_new<std::uint64_t>({1}).fill(std::uint64_t{1}));
      const auto number = chip.get<std::uint64_t>(one, 0);
      if (chip.fatal() != 0) return;
      chip.aic("adds", inout(args.tensor(0)), scalar(number));
    } else {
      for (std::uint64_t at = 0; at < 16; ++at)
        chip.set(args.tensor(0), chip.get<std::uint64_t>(args.tensor(0), at) + 1, at);
    }
  }
}

TEST_CASE("a program of single tasks may be aborted at any moment") { abort_anywhere("in_single_tasks"); }
TEST_CASE("a program of kept graphs may be aborted at any moment") { abort_anywhere("in_kept_graphs"); }
TEST_CASE("a program of blocks, new tensors and elements may be aborted at any moment") {
  abort_anywhere("in_blocks_and_scopes");
}

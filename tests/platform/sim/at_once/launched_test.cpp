// Graphs that are launched as one run, and aborted at any moment of it.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
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

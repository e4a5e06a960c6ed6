// Elements read and written between tasks, memory for a while, and graphs larger than any window.
#include "scenes.hpp"
#include "troupe/platform/chip_program.hpp"

using namespace troupe::platform;
using troupe::runtime::KernelArgs;

TROUPE_KERNEL(add_number)(KernelArgs& k) {
  for (auto& x : k.tensor<std::int32_t>(0)) x += k.scalar<std::int32_t>(0);
}
TROUPE_KERNEL(copy_number)(KernelArgs& k) {
  k.tensor<std::int32_t>(1)[0] = k.tensor<const std::int32_t>(0)[0];
}

// get waits for the writer, set waits for the readers: the answers are those of a plain program.
TROUPE_CHIP_PROGRAM(scalar_data)(ChipOrchestrator& chip, ChipArgs args) {
  const auto answers = args.tensor(0);
  const auto x = chip.alloc(out_new<std::int32_t>({4}).fill(std::int32_t{2}));
  chip.set(answers, chip.get<std::int32_t>(x, 0), 0);  // 2: filled
  chip.aiv("add_number", inout(x), scalar(std::int32_t{100}));
  chip.set(answers, chip.get<std::int32_t>(x, 3), 1);  // 102: after the writer
  const auto copy = chip.aiv("copy_number", in(x), out_new<std::int32_t>({1}));
  chip.set(x, std::int32_t{77}, 0);                       // after its reader
  chip.set(answers, chip.get<std::int32_t>(copy, 0), 2);  // 102
  chip.set(answers, chip.get<std::int32_t>(x, 0), 3);     // 77
}

// A chain through one tensor, longer than the window of unfinished tasks.
TROUPE_CHIP_PROGRAM(long_chain)(ChipOrchestrator& chip, ChipArgs args) {
  const auto x = args.tensor(0);
  for (std::int32_t i = 0; i < args.scalar<std::int32_t>(0); ++i) {
    chip.aiv("add_number", inout(x), scalar(std::int32_t{1}));
  }
}

// b = 3 b + a, without a sign so that it may wrap: the order of two such tasks shows.
TROUPE_KERNEL(mix_in)(KernelArgs& k) {
  const auto a = static_cast<std::uint32_t>(k.tensor<const std::int32_t>(0)[0]);
  auto& b = k.tensor<std::int32_t>(1)[0];
  b = static_cast<std::int32_t>(static_cast<std::uint32_t>(b) * 3 + a);
}
// A hundred thousand tasks, each of which reads one cell and changes another.
TROUPE_CHIP_PROGRAM(wide_graph)(ChipOrchestrator& chip, ChipArgs args) {
  const auto cells = args.tensor(0);
  const std::uint64_t count = cells.extent(0);
  std::vector<Tensor> one;
  for (std::uint64_t i = 0; i < count; ++i) one.push_back(cells.slice(0, i, i + 1));
  for (std::uint64_t i = 0; i < args.scalar<std::uint64_t>(0); ++i) {
    chip.aiv("mix_in", in(one[(i * 7 + 3) % count]), inout(one[i % count]));
  }
}

// Each round needs fresh memory; together they would not fit: ending scopes make room (back-pressure).
TROUPE_CHIP_PROGRAM(reuse_memory)(ChipOrchestrator& chip, ChipArgs args) {
  const auto sum = args.tensor(0);
  for (std::int32_t i = 0; i < args.scalar<std::int32_t>(0); ++i) {
    auto scope = chip.scope();
    const auto scratch = chip.alloc(out_new<std::int32_t>({4096}).fill(std::int32_t{1}));
    chip.aiv("add_number", inout(scratch), scalar(i));
    chip.aiv("copy_number", in(scratch), out(sum));
  }
}

namespace troupe::scenes {

std::vector<Scene> data_scenes() {
  Scene elements;
  elements.name = elements.callable = "scalar_data";
  elements.cases = {{.name = "all"}};
  elements.make = [](SceneArgs& args, const SceneParams&) { args.inout<std::int32_t>("answers", {4}); };
  elements.golden = [](SceneArgs& args, const SceneParams&) {
    const std::int32_t answers[] = {2, 102, 102, 77};
    std::memcpy(args.expected<std::int32_t>("answers").data(), answers, sizeof answers);
  };

  Scene chain;
  chain.name = chain.callable = "long_chain";
  chain.cases = {{.name = "1000", .params = {{"tasks", 1000}}},
                 {.name = "100000", .params = {{"tasks", 100'000}}}};
  chain.make = [](SceneArgs& args, const SceneParams& params) {
    args.inout<std::int32_t>("x", {16});
    args.scalar("tasks", static_cast<std::int32_t>(params["tasks"]));
  };
  chain.golden = [](SceneArgs& args, const SceneParams& params) {
    for (auto& x : args.expected<std::int32_t>("x")) x = static_cast<std::int32_t>(params["tasks"]);
  };

  Scene wide;
  wide.name = wide.callable = "wide_graph";
  wide.cases = {{.name = "100000", .params = {{"tasks", 100'000}, {"cells", 509}}},
                {.name = "tiny_window",
                 .params = {{"tasks", 10'000}, {"cells", 61}},
                 .environment = {{"PTO2_RING_TASK_WINDOW", "4"}}}};
  wide.make = [](SceneArgs& args, const SceneParams& params) {
    std::int32_t next = 1;
    for (auto& x : args.inout<std::int32_t>("cells", {static_cast<std::uint64_t>(params["cells"])}))
      x = next++;
    args.scalar("tasks", static_cast<std::uint64_t>(params["tasks"]));
  };
  wide.golden = [](SceneArgs& args, const SceneParams& params) {
    const auto cells = args.expected<std::int32_t>("cells");
    for (std::size_t i = 0; i < static_cast<std::size_t>(params["tasks"]); ++i) {
      const auto a = static_cast<std::uint32_t>(cells[(i * 7 + 3) % cells.size()]);
      auto& b = cells[i % cells.size()];
      b = static_cast<std::int32_t>(static_cast<std::uint32_t>(b) * 3 + a);
    }
  };

  Scene memory;
  memory.name = memory.callable = "reuse_memory";
  // Two rounds fit at a time, or one task's dependencies, or the three tasks of a round and one more.
  memory.cases = {
      {.name = "tiny_memory", .params = {{"rounds", 500}}, .options = {{"memory_bytes", "1048576"}}},
      {.name = "tiny_arenas", .params = {{"rounds", 500}}, .environment = {{"PTO2_RING_HEAP", "32768"}}},
      {.name = "tiny_window", .params = {{"rounds", 500}}, .environment = {{"PTO2_RING_TASK_WINDOW", "4"}}},
      {.name = "tiny_pool", .params = {{"rounds", 500}}, .environment = {{"PTO2_RING_DEP_POOL", "4"}}},
      {.name = "all_tiny",
       .params = {{"rounds", 500}},
       .environment = {
           {"PTO2_RING_HEAP", "16384"}, {"PTO2_RING_TASK_WINDOW", "4"}, {"PTO2_RING_DEP_POOL", "4"}}}};
  memory.make = [](SceneArgs& args, const SceneParams& params) {
    args.out<std::int32_t>("sum", {1});
    args.scalar("rounds", static_cast<std::int32_t>(params["rounds"]));
  };
  memory.golden = [](SceneArgs& args, const SceneParams& params) {
    args.expected<std::int32_t>("sum")[0] = static_cast<std::int32_t>(params["rounds"]);
  };
  return {elements, chain, wide, memory};
}

}  // namespace troupe::scenes

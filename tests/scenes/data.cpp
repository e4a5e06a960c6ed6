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

  Scene memory;
  memory.name = memory.callable = "reuse_memory";
  memory.cases = {
      {.name = "tiny_arenas", .params = {{"rounds", 500}}, .options = {{"memory_bytes", "1048576"}}}};
  memory.make = [](SceneArgs& args, const SceneParams& params) {
    args.out<std::int32_t>("sum", {1});
    args.scalar("rounds", static_cast<std::int32_t>(params["rounds"]));
  };
  memory.golden = [](SceneArgs& args, const SceneParams& params) {
    args.expected<std::int32_t>("sum")[0] = static_cast<std::int32_t>(params["rounds"]);
  };
  return {elements, chain, memory};
}

}  // namespace troupe::scenes

// What ends a chip program: each with its own code, nothing copied back, nothing hanging.
#include "scenes.hpp"
#include "troupe/platform/chip_program.hpp"

using namespace troupe::platform;
using troupe::runtime::KernelArgs;

TROUPE_KERNEL(fatal_touch)(KernelArgs& k) { k.tensor<float>(0)[0] = 1; }

TROUPE_CHIP_PROGRAM(fatal_reported)(ChipOrchestrator& chip, ChipArgs args) {
  chip.aiv("fatal_touch", inout(args.tensor(0)));
  chip.report_fatal("the table is inconsistent");
}
TROUPE_CHIP_PROGRAM(fatal_arguments)(ChipOrchestrator& chip, ChipArgs args) {
  chip.aiv("fatal_touch", inout(args.tensor(7)));
}
TROUPE_CHIP_PROGRAM_WITH(fatal_cycle, TROUPE_CHIP_RUNTIME_HOST_GRAPH)(ChipOrchestrator& chip, ChipArgs args) {
  const auto first = chip.aiv("fatal_touch", inout(args.tensor(0)));
  const auto second = chip.aiv("fatal_touch", inout(args.tensor(0)));
  chip.edge(first, second);
  chip.edge(second, first);
}

namespace troupe::scenes {

std::vector<Scene> fatal_scenes() {
  std::vector<Scene> scenes;
  for (const auto& [name, code] :
       {std::pair{"fatal_reported", 9}, {"fatal_arguments", 5}, {"fatal_cycle", 100}}) {
    Scene scene;
    scene.name = scene.callable = name;
    scene.cases = {{.name = "code", .fails_with = code, .options = {{"memory_bytes", "1048576"}}}};
    scene.make = [](SceneArgs& args, const SceneParams&) { args.inout<float>("x", {16}); };
    scenes.push_back(scene);
  }
  return scenes;
}

}  // namespace troupe::scenes

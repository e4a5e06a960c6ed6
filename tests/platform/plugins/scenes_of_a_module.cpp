// A user's module: a kernel, a chip program, and the scenes that check them. Or with one thing wrong.
#include <stdexcept>

#include "troupe/platform/chip_program.hpp"
#include "troupe/platform/scene_module.hpp"

using namespace troupe::platform;
using troupe::runtime::KernelArgs;

TROUPE_MODULE("scenes_of_a_module");

TROUPE_KERNEL(double_all)(KernelArgs& k) {
  for (auto& x : k.tensor<float>(0)) x *= 2;
}
TROUPE_CHIP_PROGRAM(double_twice)(ChipOrchestrator& chip, ChipArgs args) {
  chip.aiv("double_all", inout(args.tensor(0)));
  chip.aiv("double_all", inout(args.tensor(0)));
}

#if defined(TROUPE_TEST_NO_SCENES)
#elif defined(TROUPE_TEST_OTHER_SCENES)
extern "C" __attribute__((visibility("default"))) const SceneTable troupe_scenes;
const SceneTable troupe_scenes = {SceneTable::current, sizeof(Scene) + 8, sizeof(SceneCase), nullptr};
#elif defined(TROUPE_TEST_THROWING_SCENES)
TROUPE_SCENES(scenes) {
  scenes.clear();
  throw std::runtime_error("the golden file is missing");
}
#else
TROUPE_SCENES(scenes) {
  Scene scene;
  scene.name = scene.callable = "double_twice";
  scene.cases = {{.name = "right", .params = {{"factor", 4}}},
                 {.name = "wrong", .params = {{"factor", 5}}, .manual = true}};
  scene.make = [](SceneArgs& args, const SceneParams&) {
    for (auto& x : args.inout<float>("x", {16})) x = 1.5f;
  };
  scene.golden = [](SceneArgs& args, const SceneParams& params) {
    for (auto& x : args.expected<float>("x")) x *= static_cast<float>(params["factor"]);
  };
  scenes.push_back(scene);
}
#endif

// A user's module with scenes of its own: one that is right, one that is wrong.
#include "troupe/platform/scene_module.hpp"
#include "troupe/runtime/kernel.hpp"

using namespace troupe::platform;
using troupe::runtime::KernelArgs;

TROUPE_MODULE("scenes_for_the_command");

TROUPE_KERNEL(treble)(KernelArgs& k) {
  for (auto& x : k.tensor<float>(0)) x *= 3;
}

TROUPE_SCENES(scenes) {
  Scene scene;
  scene.name = scene.callable = "treble";
  scene.cases = {{.name = "right", .params = {{"factor", 3}}},
                 {.name = "wrong", .params = {{"factor", 4}}, .manual = true}};
  scene.make = [](SceneArgs& args, const SceneParams&) {
    for (auto& x : args.inout<float>("x", {8})) x = 2;
  };
  scene.golden = [](SceneArgs& args, const SceneParams& params) {
    for (auto& x : args.expected<float>("x")) x *= static_cast<float>(params["factor"]);
  };
  scenes.push_back(scene);
}

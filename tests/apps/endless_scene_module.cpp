// A module with a scene that never ends.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#include "troupe/platform/scene_module.hpp"
#include "troupe/runtime/kernel.hpp"

using namespace troupe::platform;

TROUPE_MODULE("endless_scenes_for_the_command");

TROUPE_KERNEL(nothing)(troupe::runtime::KernelArgs&) {}

TROUPE_SCENES(scenes) {
  Scene scene;
  scene.name = "endless";
  scene.callable = "nothing";
  scene.cases = {{.name = "wait"}};
  // Opens the named pipe and keeps it open: who reads from it hears of the beginning, and of the end.
  scene.make = [](SceneArgs& args, const SceneParams&) {
    args.inout<float>("x", {8});
    const int pipe = open(std::getenv("TROUPE_TEST_PIPE"), O_WRONLY);
    (void)!write(pipe, "x", 1);
    for (;;) pause();
  };
  scene.golden = [](SceneArgs&, const SceneParams&) {};
  scenes.push_back(scene);
}

#include "scenes.hpp"
#include "troupe/platform/scene_module.hpp"

TROUPE_MODULE("scenes");

// Plays the built-in scenes, or those of a module: troupe_scenes [libmy_kernels.so] [options]
int main(int argc, char** argv) {
  using namespace troupe::scenes;
  if (argc > 1 && argv[1][0] != '-') {
    return troupe::platform::scene_module_main(argc, argv, {"/proc/self/exe"});
  }
  std::vector<troupe::platform::Scene> all;
  for (const auto& part : {vector_scenes(), matmul_scenes(), attention_scenes(), cluster_scenes(),
                           plan_scenes(), data_scenes(), fatal_scenes(), device_scenes()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return troupe::platform::scene_main(argc, argv, troupe_this_module, all);
}

#include "scenes.hpp"
#include "troupe/runtime/module.hpp"

TROUPE_MODULE("scenes");

int main(int argc, char** argv) {
  using namespace troupe::scenes;
  std::vector<troupe::platform::Scene> all;
  for (const auto& part :
       {vector_scenes(), matmul_scenes(), cluster_scenes(), data_scenes(), fatal_scenes()}) {
    all.insert(all.end(), part.begin(), part.end());
  }
  return troupe::platform::scene_main(argc, argv, troupe_this_module, all);
}

#include <algorithm>
#include <cstdint>
#include <troupe/platform/scene.hpp>
#include <troupe/runtime/kernel.hpp>
#include <troupe/runtime/module.hpp>

using namespace troupe::platform;
using troupe::runtime::KernelArgs;

TROUPE_MODULE("copy_scenes");

TROUPE_KERNEL(copy)(KernelArgs& k) {
  auto x = k.tensor<const float>(0);
  std::copy_n(&x[0], x.size(), &k.tensor<float>(1)[0]);
}

int main(int argc, char** argv) {
  Scene scene;
  scene.name = "copy";
  scene.callable = "copy";  // in this program's module
  scene.cases = {{.name = "small", .params = {{"n", 16}}},
                 {.name = "large", .params = {{"n", 1 << 20}}, .platforms = {"a2a3sim"}}};
  scene.make = [](SceneArgs& args, const SceneParams& params) {
    const auto n = static_cast<std::uint64_t>(params["n"]);
    for (auto& x : args.in<float>("x", {n})) x = 2.0f;
    args.out<float>("y", {n});
  };
  scene.golden = [](SceneArgs& args, const SceneParams&) {
    const auto x = args.tensor<float>("x");
    std::copy(x.begin(), x.end(), args.expected<float>("y").begin());
  };
  return scene_main(argc, argv, troupe_this_module, {scene});
}

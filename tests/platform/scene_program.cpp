// A program of scenes, as a user writes one; the tests run it.
#include <algorithm>
#include <cstdlib>
#include <numeric>

#include "platform/conformance/probe.hpp"
#include "troupe/platform/scene.hpp"

using namespace troupe::platform;

int main(int argc, char** argv) {
  Scene copy;
  copy.name = "copy";
  copy.callable = "conformance_copy";
  copy.cases = {{.name = "small", .params = {{"n", 16}}},
                {.name = "large", .params = {{"n", 5000}}},
                {.name = "huge", .params = {{"n", 1'000'000}}, .manual = true}};
  copy.make = [](SceneArgs& args, const SceneParams& params) {
    const auto x = args.in<float>("x", {params["n"]});
    std::iota(x.begin(), x.end(), 1.0f);
    args.out<float>("y", {params["n"]});
  };
  copy.golden = [](SceneArgs& args, const SceneParams&) {
    const auto x = args.tensor<float>("x");
    std::copy(x.begin(), x.end(), args.expected<float>("y").begin());
  };

  Scene broken = copy;
  broken.name = "broken";
  broken.cases = {{.name = "crashes", .manual = true}};
  broken.make = [](SceneArgs&, const SceneParams&) { std::abort(); };

  return scene_main(argc, argv, troupe::conformance::kernels(), {copy, broken});
}

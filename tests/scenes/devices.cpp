// Kernels alone, of one source: what devices play, too. Lanes and blocks share the work in every way.
#include <algorithm>
#include <cmath>

#include "scenes.hpp"

using namespace troupe::platform;

namespace troupe::scenes {

namespace {

/// One block, several, and on devices blocks of several lanes.
std::vector<SceneCase> shared_out() {
  return {{.name = "one"},
          {.name = "blocks", .blocks = 3},
          {.name = "lanes", .platforms = {"opencl", "cuda"}, .blocks = 2, .options = {{"lanes", "4"}}}};
}

Scene kernel_scene(const char* name) {
  Scene scene;
  scene.name = scene.callable = name;
  scene.cases = shared_out();
  return scene;
}

Scene saxpy(const char* name, bool resident) {
  Scene scene = kernel_scene("device_saxpy");
  scene.name = name;
  scene.make = [resident](SceneArgs& args, const SceneParams&) {
    float next = 0;
    for (float& x : args.in<float>("x", {1000}, resident)) x = next++;
    for (float& y : args.inout<float>("y", {1000}, resident)) y = 1;
    args.scalar("a", 2.0f);
  };
  scene.golden = [](SceneArgs& args, const SceneParams&) {
    const auto x = args.tensor<float>("x");
    const auto y = args.expected<float>("y");
    for (std::size_t i = 0; i < y.size(); ++i) y[i] += 2 * x[i];
  };
  return scene;
}

Scene softmax() {
  Scene scene = kernel_scene("device_softmax");
  scene.make = [](SceneArgs& args, const SceneParams&) {
    double next = 0;
    for (double& x : args.inout<double>("x", {13, 8})) x = std::sin(next++) * 20;
  };
  scene.golden = [](SceneArgs& args, const SceneParams&) {
    const auto x = args.expected<double>("x");
    for (std::size_t row = 0; row < 13; ++row) {
      const auto of_row = x.subspan(row * 8, 8);
      const double largest = *std::max_element(of_row.begin(), of_row.end());
      double sum = 0;
      for (double& one : of_row) sum += one = std::exp(one - largest);
      for (double& one : of_row) one /= sum;
    }
  };
  return scene;
}

Scene functions() {
  Scene scene = kernel_scene("device_functions");
  scene.make = [](SceneArgs& args, const SceneParams&) {
    float next = -3;
    for (float& x : args.in<float>("x", {25})) x = next += 0.25f;
    args.out<float>("y", {25, 10});
  };
  scene.golden = [](SceneArgs& args, const SceneParams&) {
    const auto x = args.tensor<float>("x");
    const auto y = args.expected<float>("y");
    for (std::size_t i = 0; i < x.size(); ++i) {
      const float at = x[i], positive = std::abs(at) + 0.5f;
      const float all[] = {std::sqrt(positive), std::log(positive), std::sin(at),
                           std::cos(at),        std::tanh(at),      std::floor(at),
                           std::ceil(at),       std::min(at, 0.0f), std::pow(positive, 1.5f),
                           at * at + 1.0f};
      std::copy_n(all, 10, &y[i * 10]);
    }
  };
  return scene;
}

Scene count() {
  Scene scene = kernel_scene("device_count");
  scene.make = [](SceneArgs& args, const SceneParams&) {
    std::int32_t next = 0;
    for (auto& value : args.in<std::int32_t>("values", {500})) value = 2 + next++ % 7;
    (void)args.inout<std::int32_t>("counts", {10});
    const auto limits = args.inout<std::int32_t>("limits", {6});
    limits[0] = 100;
    limits[2] = -1;
    (void)args.inout<float>("sum", {1});
    (void)args.inout<std::uint64_t>("total", {1});
  };
  scene.golden = [](SceneArgs& args, const SceneParams&) {
    for (const auto value : args.tensor<std::int32_t>("values"))
      ++args.expected<std::int32_t>("counts")[static_cast<std::size_t>(value)];
    const std::int32_t limits[] = {2, 8, 7, 1, 1, 1};
    std::copy_n(limits, 6, args.expected<std::int32_t>("limits").begin());
    args.expected<float>("sum")[0] = 250;
    args.expected<std::uint64_t>("total")[0] = 500ULL << 32U;
  };
  return scene;
}

Scene hand_over() {
  Scene scene = kernel_scene("device_hand_over");
  scene.make = [](SceneArgs& args, const SceneParams&) {
    for (auto& x : args.inout<std::int32_t>("x", {3, 9})) x = 1;
  };
  scene.golden = [](SceneArgs& args, const SceneParams&) {
    const auto x = args.expected<std::int32_t>("x");
    for (std::size_t row = 0; row < 3; ++row) {
      for (std::size_t i = 1; i < 9; ++i) x[row * 9 + i] += x[row * 9 + i - 1];
    }
  };
  scene.cases = {
      {.name = "blocks", .blocks = 3},
      {.name = "lanes", .platforms = {"opencl", "cuda"}, .blocks = 3, .options = {{"lanes", "4"}}}};
  return scene;
}

Scene refuse() {
  Scene scene = kernel_scene("device_refuse");
  scene.cases = {{.name = "below_0", .fails_with = TROUPE_DEVICE_KERNEL_FAILED}};
  scene.make = [](SceneArgs& args, const SceneParams&) {
    args.in<float>("x", {1})[0] = -1;
    (void)args.inout<float>("y", {4});
  };
  return scene;
}

}  // namespace

std::vector<Scene> device_scenes() {
  return {saxpy("device_saxpy", false),
          saxpy("device_saxpy_resident", true),
          softmax(),
          functions(),
          count(),
          hand_over(),
          refuse()};
}

}  // namespace troupe::scenes

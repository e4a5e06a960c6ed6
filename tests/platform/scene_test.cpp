#include "troupe/platform/scene.hpp"

#include <doctest/doctest.h>

#include <numeric>

#include "platform/conformance/probe.hpp"
#include "support/built.hpp"
#include "troupe/platform/child_processes.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::platform;

namespace {

const std::string platform_path = tests::built("tests/platform/platforms/libtroupe_scripted.so");

// y = x, by the suite's copy kernel.
Scene copy_scene() {
  Scene scene;
  scene.name = "copy";
  scene.callable = "conformance_copy";
  scene.cases = {{.name = "small", .params = {{"n", 16}}}, {.name = "large", .params = {{"n", 5000}}}};
  scene.make = [](SceneArgs& args, const SceneParams& params) {
    const auto x = args.in<float>("x", {params["n"]});
    std::iota(x.begin(), x.end(), 1.0f);
    args.out<float>("y", {params["n"]});
  };
  scene.golden = [](SceneArgs& args, const SceneParams&) {
    const auto x = args.tensor<float>("x");
    std::copy(x.begin(), x.end(), args.expected<float>("y").begin());
  };
  return scene;
}

std::string verdict(const Scene& scene, const SceneCase& one, int rounds = 1) {
  const auto result = run_scene(scene, one, platform_path, 0, conformance::kernels(), rounds);
  return result ? "" : result.error().message();
}

}  // namespace

TEST_CASE("a scene whose outputs are as expected passes, in every case and round") {
  const auto scene = copy_scene();
  for (const auto& one : scene.cases) CHECK(verdict(scene, one, 3) == "");
}

TEST_CASE("a scene runs on tensors that live on the device") {
  auto scene = copy_scene();
  scene.make = [](SceneArgs& args, const SceneParams& params) {
    for (auto& x : args.in<float>("x", {params["n"]}, true)) x = 2.5f;
    args.out<float>("y", {params["n"]}, true);
  };
  CHECK(verdict(scene, scene.cases[0], 2) == "");
}

TEST_CASE("a wrong output fails the scene and says which element differs") {
  auto scene = copy_scene();
  const auto right = scene.golden;
  scene.golden = [right](SceneArgs& args, const SceneParams& params) {
    right(args, params);
    args.expected<float>("y")[3] = 4.5f;
    args.expected<float>("y")[7] = -1.0f;
  };
  CHECK(verdict(scene, scene.cases[0]) ==
        "'y': 2 of 16 elements differ, element 3 is 4.000000, expected 4.500000");
  scene.absolute = 0.6;
  CHECK(verdict(scene, scene.cases[0]) ==
        "'y': 1 of 16 elements differ, element 7 is 8.000000, expected -1.000000");
}

TEST_CASE("a scene may have to fail, with a code, and then nothing is copied back") {
  Scene scene;
  scene.name = "fail";
  scene.callable = "conformance_fail";
  scene.cases = {{.name = "throws", .fails_with = TROUPE_DEVICE_KERNEL_FAILED}};
  scene.make = [](SceneArgs& args, const SceneParams&) { (void)args.inout<float>("x", {8}); };
  CHECK(verdict(scene, scene.cases[0]) == "");
  scene.cases[0].fails_with = TROUPE_DEVICE_DEADLOCK;
  CHECK(verdict(scene, scene.cases[0]).find("another code than 2033") != std::string::npos);
  scene.cases[0].fails_with = 0;
  CHECK(verdict(scene, scene.cases[0]).find("on purpose") != std::string::npos);
  auto good = copy_scene();
  good.cases[0].fails_with = 9;
  CHECK(verdict(good, good.cases[0]).find("succeeded instead of failing with code 9") != std::string::npos);
}

TEST_CASE("mistakes in a scene are errors that name the thing") {
  auto scene = copy_scene();
  SUBCASE("a parameter that the case lacks") {
    CHECK(verdict(scene, {.name = "none"}).find("'n'") != std::string::npos);
  }
  SUBCASE("a tensor that does not exist") {
    scene.golden = [](SceneArgs& args, const SceneParams&) { (void)args.expected<float>("z"); };
    CHECK(verdict(scene, scene.cases[0]).find("'z'") != std::string::npos);
  }
  SUBCASE("another type") {
    scene.golden = [](SceneArgs& args, const SceneParams&) { (void)args.expected<std::int32_t>("y"); };
    CHECK(verdict(scene, scene.cases[0]).find("'y' is f32, not i32") != std::string::npos);
  }
  SUBCASE("something expected of an input") {
    scene.golden = [](SceneArgs& args, const SceneParams&) { (void)args.expected<float>("x"); };
    CHECK(verdict(scene, scene.cases[0]).find("'x' is an input") != std::string::npos);
  }
  SUBCASE("a platform that does not exist") {
    const auto result = run_scene(scene, scene.cases[0], "no_such_platform", 0, conformance::kernels());
    CHECK(result.error() == Errc::load_failed);
  }
}

namespace {
struct Said {
  std::string text;
  ChildEnd end;
};
Said scenes(std::vector<std::string> arguments) {
  Said said;
  arguments.insert(arguments.begin(),
                   {tests::built("bin/troupe_scene_program"), "--platform", platform_path});
  ChildProcesses children;
  children
      .start({std::move(arguments), std::chrono::seconds{200},
              [&](std::string_view line) { said.text += std::string{line} + "\n"; },
              [&](const ChildEnd& end) { said.end = end; }})
      .value();
  children.run();
  return said;
}
}  // namespace

TEST_CASE("a program of scenes runs its cases on virtual devices and answers by its exit code") {
  const auto all = scenes({"--device", "2-3"});
  CHECK_MESSAGE(all.end.exit_code == 0, all.text);
  CHECK(all.text.find("/2] PASS: " + platform_path + "::copy::small (") != std::string::npos);
  CHECK(all.text.find("2 passed, 0 failed") != std::string::npos);
  CHECK(all.text.find("[dev2] ") != std::string::npos);
  CHECK(all.text.find("[dev3] ") != std::string::npos);
}

TEST_CASE("a scene that crashes fails alone") {
  const auto said =
      scenes({"--manual", "include", "--case", "copy::small", "--case", "broken", "--retries", "0"});
  CHECK(said.end.exit_code == 1);
  CHECK(said.text.find("FAIL: " + platform_path + "::broken::crashes") != std::string::npos);
  CHECK(said.text.find("PASS: " + platform_path + "::copy::small") != std::string::npos);
}

TEST_CASE("a program of scenes lists what it has and refuses options it does not know") {
  CHECK(scenes({"--list", "--manual", "only"}).text ==
        platform_path + "::copy::huge\n" + platform_path + "::broken::crashes\n");
  CHECK(scenes({"--no-such-option", "1"}).end.exit_code == 2);
  CHECK(scenes({"--device", "3-1"}).end.exit_code == 2);
  CHECK(scenes({"--case", "nothing"}).end.exit_code == 2);
}

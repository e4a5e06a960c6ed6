#include "troupe/platform/scene_module.hpp"

#include <doctest/doctest.h>

#include "support/built.hpp"
#include "troupe/platform/child_processes.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::platform;

namespace {

std::string module_file(const std::string& name) {
  return tests::built("tests/platform/platforms/libtroupe_") + name + ".so";
}

struct Said {
  std::string text;
  int code = -1;
};
Said play(std::vector<std::string> arguments) {
  Said said;
  arguments.insert(arguments.begin(), {tests::built("bin/troupe_scenes"), module_file("module_scenes")});
  ChildProcesses children;
  const auto started = children.start({std::move(arguments), std::chrono::minutes{2},
                                       [&](std::string_view line) { said.text += std::string{line} + "\n"; },
                                       [&](const ChildEnd& end) { said.code = end.exit_code; }});
  REQUIRE(started);
  children.run();
  return said;
}

}  // namespace

TEST_CASE("a module brings scenes for its own callables") {
  const auto found = open_scene_module(module_file("module_scenes"));
  REQUIRE(found);
  CHECK(found->module.name() == "scenes_of_a_module");
  REQUIRE(found->scenes.size() == 1);
  CHECK(found->scenes[0].cases.size() == 2);
  CHECK(run_scene(found->scenes[0], found->scenes[0].cases[0], "a2a3sim", 0, *found->module.raw()));
  const auto wrong =
      run_scene(found->scenes[0], found->scenes[0].cases[1], "a2a3sim", 0, *found->module.raw());
  REQUIRE(!wrong);
  CHECK(wrong.error().message() == "'x': 16 of 16 elements differ, element 0 is 6.000000, expected 7.500000");
}

TEST_CASE("the program of the built-in scenes plays a module's instead when it is given one") {
  const auto good = play({"--platform", "a2a3sim,a5sim"});
  CHECK(good.code == 0);
  CHECK(good.text.find("[2/2] PASS: a") != std::string::npos);
  const auto bad = play({"--platform", "a5sim", "--manual", "include", "--retries", "0"});
  CHECK(bad.code == 1);
  CHECK(bad.text.find("failed: a5sim::double_twice::wrong") != std::string::npos);
  CHECK(play({"--list", "--case", "vector_inferred"}).code == 2);  // a built-in one
}

TEST_CASE("a module without scenes, or with scenes of another version, is refused by name") {
  const auto none = open_scene_module(module_file("module_no_scenes"));
  REQUIRE(!none);
  CHECK(none.error() == Errc::load_failed);
  CHECK(none.error().hint().find("TROUPE_SCENES") != std::string::npos);
  const auto other = open_scene_module(module_file("module_other_scenes"));
  REQUIRE(!other);
  CHECK(other.error().message().find("another version") != std::string::npos);
  const auto throws = open_scene_module(module_file("module_throwing_scenes"));
  REQUIRE(!throws);
  CHECK(throws.error().message().find("the golden file is missing") != std::string::npos);
  CHECK(!open_scene_module(module_file("no_such_module")));
}

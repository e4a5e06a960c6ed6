// `troupe scenes`: what it plays, what it answers, and that nothing of it outlives it.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "apps/troupe_process.hpp"
#include "support/built.hpp"
#include "support/temporary_folder.hpp"

namespace {

using troupe::test::has;
using troupe::test::ShellResult;
using troupe::test::TemporaryFolder;
using troupe::test::troupe_command;

const std::string module = troupe::tests::built("lib/libtroupe_test_scenes_module.so");

ShellResult scenes(const std::string& arguments) { return troupe_command("scenes " + arguments); }

TEST_CASE("scenes of a module are played on both platforms, each with its progress") {
  const auto done = scenes(module);
  CAPTURE(done.output);
  CHECK(done.exit == 0);
  CHECK(has(done.output, "[1/2] PASS: a"));
  CHECK(has(done.output, "PASS: a2a3sim::treble::right"));
  CHECK(has(done.output, "PASS: a5sim::treble::right"));
  CHECK(has(done.output, "2 passed, 0 failed"));
}

TEST_CASE("modules, programs of scenes and options may be mixed") {
  const auto listed =
      scenes(module + " " + troupe::tests::built("bin/troupe_scenes") + " --list --platform a5sim");
  CAPTURE(listed.output);
  CHECK(listed.exit == 0);
  CHECK(has(listed.output, "a5sim::treble::right"));
  CHECK(has(listed.output, "a5sim::mixed_shapes::all"));
  CHECK_FALSE(has(listed.output, "a2a3sim"));
}

TEST_CASE("a scene that fails is told, and is exit code 1") {
  const auto done =
      scenes(module + " --case treble --manual only --platform a2a3sim --retries 0 --fail-fast");
  CAPTURE(done.output);
  CHECK(done.exit == 1);
  CHECK(has(done.output, "element 0 is 6.000000, expected 8.000000"));
  CHECK(has(done.output, "failed: a2a3sim::treble::wrong"));
}

TEST_CASE("what is no module with scenes, and what does not exist, is a sentence and exit code 3") {
  struct Wrong {
    std::string arguments;
    int exit;
    std::string says;
  };
  for (const auto& wrong : {Wrong{troupe::tests::built("lib/libtroupe_test_module.so"), 3, "TROUPE_SCENES"},
                            {"./no_such_module.so", 3, "no_such_module.so"},
                            {"/no/such/program", 3, "cannot run"},
                            {module + " --platform no_such_chip", 3, "no_such_chip"},
                            {module + " --case no_such_case", 2, "no case is chosen"},
                            {module + " --manual sometimes", 2, "\"sometimes\" is none of"}}) {
    const auto done = scenes(wrong.arguments);
    CAPTURE(wrong.arguments);
    CAPTURE(done.output);
    CHECK(done.exit == wrong.exit);
    CHECK(has(done.output, wrong.says));
  }
}

TEST_CASE("Ctrl-C, SIGTERM and kill -9 of the command end the scenes too") {
  for (const int signal : {SIGINT, SIGTERM, SIGKILL}) {
    const TemporaryFolder folder;
    const std::string pipe = folder / "alive";
    REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
    REQUIRE(setenv("TROUPE_TEST_PIPE", pipe.c_str(), 1) == 0);
    std::string command = troupe::tests::built("bin/troupe");
    std::string words[] = {command, "scenes",
                           troupe::tests::built("lib/libtroupe_test_endless_scene_module.so"), "--platform",
                           "a2a3sim"};
    std::vector<char*> arguments;
    for (auto& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    pid_t child = 0;
    REQUIRE(posix_spawn(&child, command.c_str(), nullptr, nullptr, arguments.data(), environ) == 0);
    const int alive = open(pipe.c_str(), O_RDONLY);  // returns when the scene has opened it
    char c = 0;
    REQUIRE(read(alive, &c, 1) == 1);
    kill(child, signal);
    CHECK(read(alive, &c, 1) == 0);  // the scene has gone
    close(alive);
    int status = 0;
    waitpid(child, &status, 0);
    CAPTURE(signal);
    if (signal == SIGKILL) {
      CHECK(WIFSIGNALED(status));
    } else {
      CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 130));
    }
  }
}

}  // namespace

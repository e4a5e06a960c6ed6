// What a user is told when a run fails or cannot write what was asked for, and how parameters of a user's own
// programs are named.
#include <doctest/doctest.h>
#include <pty.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "apps/troupe_process.hpp"
#include "support/built.hpp"
#include "support/temporary_folder.hpp"

namespace {

using troupe::test::has;
using troupe::test::shell;
using troupe::test::TemporaryFolder;
using troupe::test::troupe_command;

const std::string module = troupe::tests::built("lib/libtroupe_test_module.so");

std::size_t lines(const std::string& text) {
  return static_cast<std::size_t>(std::ranges::count(text, '\n'));
}

TEST_CASE("a kernel that waits for what nobody will do is told by name, with what waited for it") {
  const auto done = troupe_command("run " + module + ":lonely");
  CAPTURE(done.output);
  CHECK(done.exit == 1);
  CHECK(has(done.output, "\"wait for my partner\""));
  CHECK(has(done.output,
            "flag at element 0 of tensor argument 0 == 1, and nothing that could raise it can run"));
  CHECK(has(done.output, "not run because of it: use the answer"));
  CHECK(has(done.output, "--graph FILE.dot"));
  CHECK(lines(done.output) <= 24);
}

TEST_CASE("a program whose tasks can never go on says what each waits for, on one screen") {
  const auto done = troupe_command("run " + module + ":too_large");
  CAPTURE(done.output);
  CHECK(done.exit == 1);
  CHECK(has(done.output, "program \"too_large\" cannot go on"));
  CHECK(has(done.output, "20 tasks had not ended:"));
  CHECK(has(done.output, "\"fill block 1\" waits for memory"));
  CHECK(has(done.output, "and 8 more"));
  CHECK(lines(done.output) <= 60);
}

TEST_CASE("a failure lists what was not run because of it, shortened") {
  const auto done = troupe_command("run " + module + ":breaks");
  CAPTURE(done.output);
  CHECK(done.exit == 1);
  CHECK(has(done.output, "task \"measure\" failed"));
  CHECK(has(done.output, "the sensor is gone"));
  CHECK(has(done.output, "not run because of it: step 0, step 1,"));
  CHECK(has(done.output, "and 18 more"));
  CHECK(lines(done.output) <= 24);
}

TEST_CASE("parameters of a user's program have the names it gave them") {
  CHECK(has(troupe_command("run " + module + ":scaled_answer --param number=4").output, "the answer is 8"));
  CHECK(has(troupe_command("run " + module + ":scaled_answer --param factor=5 --param number=4").output,
            "the answer is 20"));
  const auto missing = troupe_command("run " + module + ":scaled_answer");
  CHECK(missing.exit == 2);
  CHECK(has(missing.output, "needs its parameter \"number\""));
  const auto help = troupe_command("run " + module + ":scaled_answer --help");
  CAPTURE(help.output);
  CHECK(help.exit == 0);
  CHECK(has(help.output, "number    i32  what to say"));
  CHECK(has(help.output, "factor=2  i32  how often"));
  CHECK(has(troupe_command("list " + module).output, "factor=2  how often"));
  const auto wrong = troupe_command("run " + module + ":badly_named");
  CHECK(wrong.exit == 3);
  CHECK(has(wrong.output, "name 1, but it takes 2"));
}

TEST_CASE("help for a built-in program tells its parameters and chips") {
  const auto help = troupe_command("run heat --help");
  CAPTURE(help.output);
  CHECK(help.exit == 0);
  CHECK(has(help.output, "heat: a 2-D stencil"));
  CHECK(has(help.output, "size=128  u32  rows and columns of the plate"));
  CHECK(has(help.output, "Without --chips: 4 chips"));
  CHECK(troupe_command("run nothing --help").exit == 3);
}

TEST_CASE("what cannot be written is told before the run begins") {
  const TemporaryFolder folder;
  struct Wrong {
    std::string option, says;
  };
  for (const auto& wrong :
       {Wrong{"--trace /no/such/folder/t.json", "No such file or directory"},
        Wrong{"--trace /", "Is a directory"}, Wrong{"--swimlane " + module + "/s.json", "Not a directory"},
        Wrong{"--graph " + (folder / "g.txt"), ".dot"}, Wrong{"--trace ''", "the name is empty"}}) {
    const auto done = troupe_command("run hello " + wrong.option);
    CAPTURE(done.output);
    CHECK(done.exit != 0);
    CHECK(has(done.output, wrong.says));
    CHECK_FALSE(has(done.output, "the chip says"));
  }
}

TEST_CASE("a full disk is told for each thing that can be written") {
  const TemporaryFolder folder;
  for (const std::string name : {"t.json", "g.dot", "s.json"}) {
    std::filesystem::create_symlink("/dev/full", std::string(folder / name));
  }
  for (const std::string& option : {"--trace " + (folder / "t.json"), "--graph " + (folder / "g.dot"),
                                    "--swimlane " + (folder / "s.json")}) {
    const auto done = troupe_command("run hello " + option);
    CAPTURE(done.output);
    CHECK(done.exit == 3);
    CHECK(has(done.output, "cannot write"));
    CHECK(has(done.output, "No space left on device"));
  }
}

TEST_CASE("a device that is named as a file stays a device") {
  const auto done = troupe_command("run hello --trace /dev/full");
  CHECK(done.exit == 3);
  CHECK(has(done.output, "No space left"));
  struct stat device {};
  REQUIRE(stat("/dev/full", &device) == 0);
  CHECK(S_ISCHR(device.st_mode));
}

TEST_CASE("every command tells when its output cannot be written") {
  for (const char* command :
       {"list", "devices", "version", "--help", "run heat --help", "scenes --list", "run hello"}) {
    const auto done = shell(troupe::tests::built("bin/troupe") + " " + command + " 2>&1 > /dev/full");
    CAPTURE(command);
    CHECK(done.exit == 3);
    CHECK(has(done.output, "standard output cannot be written"));
  }
}

TEST_CASE("files that may not grow as large as they would have to are told, not died of") {
  const TemporaryFolder folder;
  const std::string trace = folder / "t.json",
                    limited = "ulimit -f 1; exec " + troupe::tests::built("bin/troupe");
  REQUIRE(troupe_command("run hello --trace " + trace).exit == 0);
  const auto page = shell(limited + " trace html " + trace + " 2>&1 >" + (folder / "page.html"));
  CHECK(page.exit == 3);
  CHECK(has(page.output, "standard output cannot be written"));
  const auto run = shell(limited + " run vector_add 2>&1");  // its memory counts as files
  CHECK(run.exit == 1);
  CHECK(has(run.output, "(ulimit -f)"));
  CHECK_FALSE(has(run.output, "up to 0 "));  // the block of -f differs between shells
  const auto windows = shell(limited + " run allreduce 2>&1");
  CHECK(has(windows.output, "(ulimit -f)"));
  const auto traced = shell("ulimit -f 1; exec " + troupe::tests::built("bin/troupe") +
                            " run hello --trace " + trace + " 2>&1");
  CHECK(traced.exit == 3);
  CHECK(has(traced.output, "cannot write the trace"));
  CHECK(has(traced.output, "(ulimit -f)"));
  CHECK_FALSE(has(traced.output, "does the folder exist"));
}

/// A command on a terminal: what it shows until it ends. Ctrl-C is typed once `until` has been shown.
std::string on_a_terminal(const std::string& command, const std::string& until = {},
                          unsigned short columns = 80) {
  int terminal = -1;
  const winsize size{24, columns, 0, 0};
  const pid_t child = forkpty(&terminal, nullptr, nullptr, &size);
  REQUIRE(child >= 0);
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", ("exec " + command).c_str(), static_cast<char*>(nullptr));
    _exit(127);
  }
  std::string shown;
  char buffer[4096];
  bool typed = until.empty();
  for (ssize_t n; (n = read(terminal, buffer, sizeof buffer)) > 0;) {
    shown.append(buffer, static_cast<std::size_t>(n));
    if (typed || !has(shown, until)) continue;
    typed = true;
    REQUIRE(write(terminal, "\x03", 1) == 1);
  }
  close(terminal);
  int status = 0;
  waitpid(child, &status, 0);
  return shown + "exit " + std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

TEST_CASE("on a terminal one line shows how far a run is, and Ctrl-C ends the run") {
  const std::string shown = on_a_terminal(
      std::string("env TERM=xterm ") + troupe::tests::built("bin/troupe") + " run " + module + ":endless",
      " running, ");
  CAPTURE(shown);
  CHECK(has(shown, "\r\033[Kendless: "));
  CHECK(has(shown, "\r\033[Kcancelling endless"));
  CHECK(has(shown, "endless: cancelled"));
  CHECK(has(shown, "exit 130"));
}

TEST_CASE("a narrow terminal gets as much of the line as fits") {
  const std::string shown = on_a_terminal(
      std::string("env TERM=xterm ") + troupe::tests::built("bin/troupe") + " run " + module + ":endless",
      "\r\033[Kendless: ", 12);
  CAPTURE(shown);
  CHECK(has(shown, "\r\033[Kendless: "));
  CHECK_FALSE(has(shown, "done, "));
}

TEST_CASE("a terminal that cannot write over a line gets no progress") {
  const std::string shown = on_a_terminal(std::string("env TERM=dumb ") + troupe::tests::built("bin/troupe") +
                                          " run " + module + ":endless --timeout 1");
  CAPTURE(shown);
  CHECK(has(shown, "exit 124"));
  CHECK_FALSE(has(shown, "\033["));
}

TEST_CASE("where standard error is no terminal nothing is written over") {
  const std::string shown =
      on_a_terminal(std::string("sh -c '") + troupe::tests::built("bin/troupe") + " run hello 2>&1 | cat'");
  CAPTURE(shown);
  CHECK(has(shown, "hello: 2 tasks"));
  CHECK_FALSE(has(shown, "\033["));
}

#if !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)  // which take all addresses for themselves
TEST_CASE("a process that gets no more memory or descriptors ends, and names the limit") {
  // Each amount is met somewhere else: at a thread, a heap, a tensor, the memory of a chip. Some may be
  // enough.
  int met = 0;
  for (const int mebibytes : {60, 100, 140, 160, 180, 190, 195, 200, 210, 220, 250, 300}) {
    const auto done =
        shell("ulimit -c 0; ulimit -v " + std::to_string(mebibytes << 10) + "; timeout -k 1 60 " +
              troupe::tests::built("bin/troupe") + " run vector_add 2>&1");
    CAPTURE(mebibytes);
    CAPTURE(done.output);
    CHECK(done.exit != 124);
    CHECK(done.exit != 137);
    if (done.exit == 0 || done.exit == 127) continue;  // enough, or not even for the libraries
    CHECK(has(done.output, "ulimit"));
    CHECK_FALSE(has(done.output, "bad_alloc"));
    ++met;
  }
  CHECK(met > 0);
  met = 0;
  for (const char* command : {"run vector_add", "run allreduce", "run heat", "scenes --case matmul_tiled"}) {
    for (const int descriptors : {5, 6, 7, 8, 9, 10, 11}) {
      const auto done = shell("exec 2>&1; ulimit -n " + std::to_string(descriptors) + "; exec " +
                              troupe::tests::built("bin/troupe") + " " + command);
      CAPTURE(command);
      CAPTURE(descriptors);
      CAPTURE(done.output);
      if (descriptors <= 6) CHECK(done.exit != 0);
      if (done.exit == 0) continue;
      CHECK(has(done.output, "ulimit -n"));
      ++met;
    }
  }
  CHECK(met > 8);
}
#endif

TEST_CASE("an option that troupe run does not have is named, with the one that may have been meant") {
  for (const char* line :
       {"run hello --chps 4", "run --chps 4 hello", "run --chps=4 hello", "--chps 4 run hello"}) {
    const auto done = troupe_command(line);
    CAPTURE(line);
    CAPTURE(done.output);
    CHECK(done.exit == 2);
    CHECK(has(done.output, "troupe run has no option \"--chps\""));
    CHECK(has(done.output, "did you mean --chips?"));
  }
  CHECK_FALSE(has(troupe_command("run hello --dance").output, "did you mean"));
}

TEST_CASE("a checked run that goes well says nothing of memory that was left") {
  for (const char* program : {"hello", "vector_add", "cholesky"}) {
    const auto done = troupe_command(std::string("run ") + program + " --checked");
    CAPTURE(done.output);
    CHECK(done.exit == 0);
    CHECK_FALSE(has(done.output, "live allocations"));
  }
}

TEST_CASE("an output that cannot be made is told before the run") {
  const auto done = troupe_command("run hello --trace /proc/no_such_trace");
  CAPTURE(done.output);
  CHECK(done.exit == 3);
  CHECK(has(done.output, "cannot write \"/proc/no_such_trace\""));
  CHECK_FALSE(has(done.output, "hello:"));
  CHECK(troupe_command("scenes --list > /dev/full").exit == 3);
}

}  // namespace

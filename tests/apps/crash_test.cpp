// A process that dies inside a user's code says where, leaves its trace, and dies as it would have.
#include <doctest/doctest.h>
#include <signal.h>

#include <algorithm>
#include <string>

#include "apps/troupe_process.hpp"
#include "support/built.hpp"
#include "support/temporary_folder.hpp"
#include "trace/read.hpp"

namespace {

using troupe::test::has;
using troupe::test::shell;
using troupe::test::ShellResult;
using troupe::test::TemporaryFolder;
using troupe::tests::built;

/// Without core files, and with a sanitizer that leaves signals to the program.
ShellResult crashing(const std::string& command) {
  const std::string hands_off =
      "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0:use_sigaltstack=0";
  return shell("ulimit -c 0; export ASAN_OPTIONS=$ASAN_OPTIONS:" + hands_off +
               " TSAN_OPTIONS=$TSAN_OPTIONS:" + hands_off + " UBSAN_OPTIONS=" + hands_off + "; exec " +
               command + " 2>&1");
}

struct Way {
  int how, signal;
  std::string says;
};
const Way ways[] = {
    {0, SIGSEGV, "it touched memory at 0x10 that is not there for it (SIGSEGV)"},
    {1, SIGABRT, "it called abort(), or something ended it so (SIGABRT)"},
    {2, SIGSEGV, "its stack overflowed (SIGSEGV)"},
#if defined(__x86_64__)
    {3, SIGFPE, "it divided an integer by zero, or the like (SIGFPE)"},
#endif
};

TEST_CASE("a crash inside a user's code names it, its task and its chip, and leaves the trace up to there") {
  const std::string module = built("lib/libtroupe_test_module.so");
  const std::string places[] = {
      "kernel 'crashes' of task 'the fatal step' on node0/chip0 (aiv24) crashed: ",
      "kernel 'crashes' of task 'the fatal step' on node0/chip0 (aiv24) crashed: ",
      "function 'crashes_on_host' of task 'the fatal step' on node0/sub0 crashed: "};
  for (int where = 0; where < 3; ++where) {
    for (const Way& way : ways) {
      const TemporaryFolder folder;
      const auto file = folder / "t.json";
      const auto done =
          crashing(built("bin/troupe") + " run " + module + ":crash --param 0=" + std::to_string(where) +
                   " --param 1=" + std::to_string(way.how) + " --trace " + file);
      CAPTURE(where);
      CAPTURE(way.how);
      CAPTURE(done.output);
      CHECK(done.exit == 128 + way.signal);
      CHECK(has(done.output, "troupe: " + places[where] + way.says + "\n"));
      CHECK(has(done.output, "what was recorded up to there has been written"));
      const auto trace = troupe::apps::read_trace_file(file);
      REQUIRE(trace);
      const auto names = [&](const std::string& text) {
        return std::ranges::any_of(trace->spans,
                                   [&](const auto& span) { return trace->texts[span.name] == text; });
      };
      CHECK(names("before the end"));
      CHECK(names("crashed"));
    }
  }
}

TEST_CASE("a kernel that runs far past its tensor is told which one") {
  const auto done = crashing(built("bin/troupe") + " run " + built("lib/libtroupe_test_module.so") +
                             ":crash --param 0=0 --param 1=4 --checked");
  CAPTURE(done.output);
  CHECK(done.exit == 128 + SIGSEGV);
  CHECK(has(done.output, " behind the memory of tensor 0\n"));
}

TEST_CASE("a program of a user's own with System{argc, argv} tells the same, and keeps its own handlers") {
  const TemporaryFolder folder;
  const auto file = folder / "t.json";
  const std::string program =
      built("bin/troupe_test_crash_program") + " " + built("lib/libtroupe_test_module.so");
  const std::string sentence = "kernel 'crashes' of task 'the fatal step' on node0/chip0 (aiv24) crashed: ";
  const auto plain = crashing(program + " none --trace " + file + " --log-file " + (folder / "log"));
  CAPTURE(plain.output);
  CHECK(plain.exit == 128 + SIGSEGV);
  CHECK(has(plain.output, "troupe: " + sentence));
  CHECK(troupe::apps::read_trace_file(file));
  CHECK(has(shell("cat " + (folder / "log")).output, "node0/chip0: " + sentence));
  const auto handled = crashing(program + " own");
  CAPTURE(handled.output);
  CHECK(handled.exit == 7);
  CHECK(has(handled.output, sentence));
  CHECK(has(handled.output, "my own handler"));
}

}  // namespace

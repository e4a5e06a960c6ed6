// What a process leaves behind when it crashes: who is told, with which words, and how it then dies.
#include "troupe/platform/crash_report.hpp"

#include <doctest/doctest.h>
#include <signal.h>

#include <string>

#include "support/built.hpp"
#include "support/shell.hpp"

using namespace troupe;
using test::shell;
using test::ShellResult;

namespace {

/// Without core files, and with a sanitizer that leaves signals to the program.
ShellResult crashing(const std::string& how) {
  const std::string hands_off =
      "handle_segv=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0:handle_abort=0:use_sigaltstack=0";
  return shell("ulimit -c 0; export ASAN_OPTIONS=$ASAN_OPTIONS:" + hands_off +
               " TSAN_OPTIONS=$TSAN_OPTIONS:" + hands_off + " UBSAN_OPTIONS=" + hands_off + "; exec " +
               tests::built("bin/troupe_crash_report_program") + " '" + how + "' 2>&1");
}

bool has(const ShellResult& result, const std::string& text) {
  return result.output.find(text) != std::string::npos;
}

const std::string at_0x10 = "crashed: it touched memory at 0x10 that is not there for it (SIGSEGV)";
const std::string sentence = "kernel 'k' of task 't' on node7/chip3 " + at_0x10;

}  // namespace

TEST_CASE("a crash is told on standard error and to every report, and the process dies of its signal") {
  const auto ended = crashing("two reports");
  CAPTURE(ended.output);
  CHECK(ended.exit == 128 + SIGSEGV);
  CHECK(has(ended, "troupe: " + sentence + "\n"));
  CHECK(has(ended, "the first heard: " + sentence + " [node7/chip3]\n"));
  CHECK(has(ended, "the second heard: " + sentence + " [node7/chip3]\n"));
}

TEST_CASE("a report that has ended hears nothing, and with the last one the handlers go") {
  const auto one = crashing("one left");
  CAPTURE(one.output);
  CHECK(has(one, "the first heard: " + sentence));
  CHECK_FALSE(has(one, "the second heard"));
  const auto none = crashing("none left");
  CHECK(none.exit == 128 + SIGSEGV);
  CHECK(none.output == "");
}

TEST_CASE("a crash outside of kernels is told as such, an abort there not again") {
  const auto outside = crashing("outside");
  CAPTURE(outside.output);
  CHECK(has(outside, "troupe: a thread outside of kernels and host functions " + at_0x10 + "\n"));
  CHECK(has(outside, "the first heard: a thread outside"));
  const auto aborts = crashing("aborts outside");
  CHECK(aborts.exit == 128 + SIGABRT);
  CHECK_FALSE(has(aborts, "troupe: "));
}

TEST_CASE("last words that crash or throw keep neither the sentence nor the end from coming") {
  for (const char* how : {"last words crash", "last words throw"}) {
    CAPTURE(how);
    const auto ended = crashing(how);
    CAPTURE(ended.output);
    CHECK(ended.exit == 128 + SIGSEGV);
    CHECK(has(ended, "troupe: " + sentence + "\n"));
  }
  CHECK(has(crashing("last words throw"), "the second heard: "));
}

TEST_CASE("who touches a file that was cut while it was mapped is told that, and how files are replaced") {
  const std::string cut = " of a file that has become shorter since it was mapped (SIGBUS)";
  for (const char* how : {"cut file", "cut file outside"}) {
    const auto ended = crashing(how);
    CAPTURE(ended.output);
    CHECK(ended.exit == 128 + SIGBUS);
    CHECK(has(ended, cut + "\n  hint: a module, or another file in use, was cut or written over"));
    CHECK(has(ended, "the first heard: "));
    CHECK_FALSE(has(ended, "--checked"));
  }
  CHECK(has(crashing("cut file"), "troupe: kernel 'k' of task 't' on node7/chip3 crashed: it touched"));
}

TEST_CASE("a signal that was sent is told as that, and ends the process too") {
  const auto ended = crashing("sent");
  CAPTURE(ended.output);
  CHECK(ended.exit == 128 + SIGSEGV);
  CHECK(has(ended, "on node7/chip3 crashed: SIGSEGV was sent to it\n"));
}

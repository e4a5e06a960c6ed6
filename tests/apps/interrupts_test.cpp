// Signals as something to wait for. Each case is a process of its own, because signals belong to processes.
#include "command/interrupts.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "command/cli.hpp"

namespace {

using namespace troupe::apps;

/// What a child that does `work` ends with; 128 + n after signal n.
template <class Work>
int ends_with(Work&& work) {
  const pid_t child = fork();
  if (child == 0) {
    for (const int number : {SIGINT, SIGTERM}) (void)std::signal(number, SIG_DFL);  // not the test's own
    work();
    _exit(0);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_CASE("a signal during work that cannot be given up ends the process at once, as interrupted") {
  CHECK(ends_with([] {
          const Interrupts interrupts;
          const EndAtOnce working(interrupts, "cancelled");
          kill(getpid(), SIGTERM);
          for (;;) pause();
        }) == exit_interrupted);
}

TEST_CASE("a signal after such work is there for who listens next") {
  CHECK(ends_with([] {
          Interrupts interrupts;
          { const EndAtOnce working(interrupts, "cancelled"); }
          kill(getpid(), SIGINT);
          const Flag never;
          const bool heard = wait_for(never, &interrupts, -1) == Woken::interrupt;
          _exit(heard && interrupts.take() == SIGINT ? 7 : 1);
        }) == 7);
}

TEST_CASE("when nobody listens any more, a signal ends the process as it would any other") {
  CHECK(ends_with([] {
          Interrupts interrupts;
          interrupts.let_go();
          kill(getpid(), SIGTERM);
          for (;;) pause();
        }) == 128 + SIGTERM);
}

}  // namespace

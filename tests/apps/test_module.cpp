// A user's module for the tests of the command.
#include <cstdio>
#include <troupe/troupe.hpp>

using namespace troupe;

TROUPE_HOST_FUNCTION(say)(HostArgs& args) {
  std::printf("the answer is %d\n", args.scalar<std::int32_t>(0));
  std::fflush(stdout);
}

void answer(Orchestrator& node, std::int32_t number) { node.submit_sub("say", scalar(number)); }
TROUPE_PROGRAM(answer);

void fails(Orchestrator&) { throw Error(ErrorCode{9999, "of_my_own"}, "this program always fails"); }
TROUPE_PROGRAM(fails);

// Task after task, until somebody ends it.
Program endless(Orchestrator& node) {
  for (bool first = true;; first = false) {
    auto task = node.submit_sub([first](HostArgs&) {
      if (first) std::puts("under way");
      if (first) std::fflush(stdout);
    });
    co_await task;
  }
}
TROUPE_PROGRAM(endless);

TROUPE_MODULE("tests");

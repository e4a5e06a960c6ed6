// A child of fork that used its parent's node waited for ever: the threads that would answer are the
// parent's. A tensor that it dropped punched a hole into memory that it shares with its parent.
//
// Promised now: every call of such a child fails at once with a sentence, the copy of the System that it has
// ends without doing anything, and what it drops stays as it is in the parent.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <optional>

#include "support/built.hpp"
#include "support/error_of.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;
using actors::Errc;
using test::error_of;

namespace {

/// Whether `right` is so in a child, which is ended when it hangs.
bool in_a_child(const std::function<bool()>& right) {
  const pid_t child = fork();
  if (child == 0) {
    (void)alarm(60);
    _exit(right() ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool is_refused(const std::function<void()>& call) {
  const auto error = error_of(call);
  return error && *error == Errc::wrong_state &&
         error->message().find("child of it (fork)") != std::string::npos;
}

struct Bench {
  std::optional<System> system{SystemConfig{.threads = 2}};
  Node node = system->node({.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 1});
};

}  // namespace

TEST_CASE("every call of a child of fork on its parent's node fails at once") {
  Bench bench;
  auto& node = bench.node;
  const auto chip = node.chip(0);
  auto device = chip.malloc<float>({4});
  auto host = node.tensor<float>({4});
  auto nothing = [](Orchestrator&) {};
  CHECK(in_a_child([&] { return is_refused([&] { node.run(nothing); }); }));
  CHECK(in_a_child([&] { return is_refused([&] { (void)node.submit(nothing); }); }));
  CHECK(in_a_child([&] { return is_refused([&] { (void)node.status(); }); }));
  CHECK(in_a_child([&] { return is_refused([&] { (void)node.tensor<float>({4}); }); }));
  CHECK(in_a_child([&] { return is_refused([&] { (void)chip.malloc<float>({4}); }); }));
  CHECK(in_a_child([&] { return is_refused([&] { chip.copy_from(host, device); }); }));
  CHECK(in_a_child([&] { return is_refused([&] { chip.reset(); }); }));
  CHECK(in_a_child([&] { return is_refused([&] { (void)bench.system->node(); }); }));
  node.run(nothing);  // here all goes on
}

TEST_CASE("a child of fork does not wait for a run of its parent") {
  Bench bench;
  const auto handle = bench.node.submit([](Orchestrator&) -> Program { co_return; });
  handle.wait();
  CHECK(in_a_child([&] { return handle.done(); }));  // it has heard of that
  bench.node.run([&](Orchestrator& program) {
    // This run cannot end before its program has, which forks.
    auto x = program.tensor<float>({4});
    CHECK(in_a_child([&] {
      return is_refused([&] { program.submit_sub([](HostArgs&) {}, inout(x)); }) &&
             is_refused([&] { program.drain(); }) && is_refused([&] { (void)program.read<float>(x).get(); });
    }));
  });
}

TEST_CASE(
    "the copy of a System that a child of fork has ends at once, and what it drops stays in the parent") {
  Bench bench;
  auto large = bench.node.tensor<float>({1U << 20U}, 1.5F);
  CHECK(in_a_child([&] {
    large = {};
    bench.system.reset();
    return true;
  }));
  const auto elements = large.host<float>();
  CHECK(elements.front() == 1.5F);
  CHECK(elements.back() == 1.5F);
}

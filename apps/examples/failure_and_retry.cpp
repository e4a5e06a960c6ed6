// Failure is data: a task that fails is tried again where that is harmless; what depends on a task that
// failed for good is not run; a program that catches the error goes on.
#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <troupe/troupe.hpp>

#include "examples/check.hpp"

using namespace troupe;

TROUPE_HOST_FUNCTION(flaky)(HostArgs& args) {
  auto attempts = args.tensor<std::int32_t>(1);
  if (++attempts[0] < args.scalar<std::int32_t>(0)) throw std::runtime_error("the disk was busy");
  args.tensor<float>(0)[0] = 1.0f;
}
TROUPE_HOST_FUNCTION(broken)(HostArgs&) { throw std::runtime_error("no such sensor"); }

void failure_and_retry(Orchestrator& node) {
  // It fails twice and works at the third attempt.
  auto attempts = node.tensor<std::int32_t>({1}, 0);
  auto value = node.alloc<float>({1}), sum = node.alloc<float>({1});
  node.submit_sub("flaky", out(value), no_dep(attempts), scalar(3), retry(5), name("read sensor"));
  node.submit("increment", in(value), out(sum));
  apps::expect(node.read<float>(sum) == 2.0f, "the third attempt counted");

  // It never works. Its reader is poisoned: never run, and its error says because of what.
  auto lost = node.alloc<float>({1}), never = node.alloc<float>({1});
  auto failed = node.submit_sub("broken", out(lost), name("read lost sensor"));
  auto poisoned = node.submit("increment", in(lost), out(never));
  int caught = 0;
  for (const auto& task : {failed, poisoned}) {
    try {
      task.wait();  // awaited: the failure is ours now and does not fail the run
    } catch (const Error& error) {
      ++caught;
      std::puts(render(error).c_str());
    }
  }
  apps::expect(caught == 2, "the failure and the poisoned task were told");
}
TROUPE_PROGRAM(failure_and_retry);

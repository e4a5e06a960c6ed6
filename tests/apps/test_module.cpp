// A user's module for the tests of the command.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <thread>
#include <troupe/platform/chip_program.hpp>
#include <troupe/troupe.hpp>
#include <vector>

using namespace troupe;
using platform::ChipArgs, platform::ChipOrchestrator;

TROUPE_HOST_FUNCTION(say)(HostArgs& args) {
  std::printf("the answer is %d\n", args.scalar<std::int32_t>(0));
  std::fflush(stdout);
}

void answer(Orchestrator& node, std::int32_t number) { node.submit_sub("say", scalar(number)); }
TROUPE_PROGRAM(answer);

void scaled_answer(Orchestrator& node, std::int32_t number, std::int32_t factor) {
  node.submit_sub("say", scalar(number * factor));
}
TROUPE_PROGRAM(scaled_answer);
TROUPE_PARAMETERS(scaled_answer, {"number", nullptr, "what to say"}, {"factor", "2", "how often"});

void misspells(Orchestrator& node) { node.submit_sub("sya", scalar(1)); }
TROUPE_PROGRAM(misspells);

void badly_named(Orchestrator&, std::int32_t, std::int32_t) {}
TROUPE_PROGRAM(badly_named);
TROUPE_PARAMETERS(badly_named, {"only_one", "1", ""});

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

// A program whose own code computes and computes: nothing can stop it from outside.
void computes(Orchestrator& node) {
  node.submit_sub([](HostArgs&) {}).wait();
  std::puts("under way");
  std::fflush(stdout);
  for (std::atomic<std::uint64_t> steps{0};; ++steps) {
  }
}
TROUPE_PROGRAM(computes);

// A kernel that does not end before it is asked to, and what waits for it.
TROUPE_KERNEL(turn)(KernelArgs& k) {
  std::puts("under way");
  std::fflush(stdout);
  while (!k.aborted()) std::this_thread::yield();
}
void turns(Orchestrator& node) {
  auto x = node.tensor<float>({16}, 0.0f);
  node.submit("turn", inout(x), name("turn for ever"));
  node.submit_sub([](HostArgs&) {}, in(x), name("look at it"));
}
TROUPE_PROGRAM(turns);
void turns_in_a_pod(Orchestrator& pod) {
  auto x = pod.tensor<float>({16}, 0.0f);
  pod.submit(
      +[](Orchestrator& node, Tensor t) { node.submit("turn", inout(t), name("turn for ever")); }, inout(x),
      on_chip(1), name("part 1"));
}
TROUPE_PROGRAM(turns_in_a_pod);

// Two chips of one group: the second waits for a flag that the first, done already, does not raise.
TROUPE_KERNEL(wait_for_partner)(KernelArgs& k) {
  auto& flag = k.tensor<std::int32_t>(0)[0];
  (void)k.wait_until(flag, Compare::equal, std::int32_t{1});
}
TROUPE_KERNEL(fill)(KernelArgs& k) {
  for (auto& x : k.tensor<float>(0)) x = 1;
}
void lonely(Orchestrator& node) {
  auto flag = node.tensor<std::int32_t>({1}, 0);
  auto x = node.tensor<float>({16}, 0.0f);
  node.submit("wait_for_partner", inout(flag), name("wait for my partner"));
  node.submit_sub([](HostArgs&) {}, in(flag), inout(x), name("use the answer"));
  node.submit("fill", out(x), name("fill again"));
}
TROUPE_PROGRAM(lonely);

// One intermediate is kept by its handle, the next does not fit beside it: nothing can ever go on.
void too_large(Orchestrator& node) {
  std::vector<Tensor> kept;
  for (int i = 0; i < 21; ++i) {
    auto block = node.alloc<float>({64 * 1024 * 1024});
    node.submit("fill", out(block), name("fill block " + std::to_string(i)));
    kept.push_back(block);
  }
  node.drain();
}
TROUPE_PROGRAM(too_large);

// A failure with several things behind it.
void breaks(Orchestrator& node) {
  auto x = node.tensor<float>({16}, 0.0f), y = node.tensor<float>({16}, 0.0f);
  node.submit_sub([](HostArgs&) { throw std::runtime_error("the sensor is gone"); }, out(x), name("measure"));
  for (int i = 0; i < 30; ++i) node.submit("fill", inout(x), inout(y), name("step " + std::to_string(i)));
}
TROUPE_PROGRAM(breaks);

// Kernels and a host function that take the process with them, in several ways.
enum Ruin : std::int32_t { no_memory, aborts, no_stack, no_number, past_the_guard };

[[gnu::noinline]] int deeper(volatile int* at) {
  volatile int here[1024];
  here[0] = *at + 1;
  return *at < 0 ? 0 : deeper(&here[0]) + here[0];
}
[[gnu::noinline, gnu::no_sanitize("undefined")]] int divided(volatile int* by) { return 100 / *by; }

void ruin(std::int32_t how, volatile float* x) {
  volatile int zero = 0;
  volatile std::uintptr_t low = 16;
  switch (how) {
    case no_memory:
      *reinterpret_cast<volatile int*>(low) = 1;
      break;
    case aborts:
      std::abort();
    case no_stack:
      zero = deeper(&zero);
      break;
    case no_number:
      zero = divided(&zero);
      break;
    default:
      for (std::size_t i = 0;; ++i) x[i] = 1;
  }
}

TROUPE_KERNEL(crashes)(KernelArgs& k) { ruin(k.scalar<std::int32_t>(0), k.tensor<float>(0).data()); }
TROUPE_HOST_FUNCTION(crashes_on_host)(HostArgs& args) { ruin(args.scalar<std::int32_t>(0), nullptr); }
TROUPE_CHIP_PROGRAM(crashes_on_chip)(ChipOrchestrator& chip, ChipArgs args) {
  chip.aiv("crashes", inout(args.tensor(0)), scalar(args.scalar<std::int32_t>(0)));
}
// `where`: 0 a kernel, 1 a kernel of a chip program, 2 a host function.
void crash(Orchestrator& node, std::int32_t where, std::int32_t how) {
  auto x = node.tensor<float>({16}, 0.0f);
  node.submit("fill", out(x), name("before the end"));
  node.drain();
  if (where == 2) {
    node.submit_sub("crashes_on_host", scalar(how), name("the fatal step"));
  } else {
    node.submit(where == 0 ? "crashes" : "crashes_on_chip", inout(x), scalar(how), name("the fatal step"));
  }
}
TROUPE_PROGRAM(crash);

TROUPE_MODULE("tests");

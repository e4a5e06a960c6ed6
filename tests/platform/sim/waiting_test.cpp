// Kernels that wait in the middle: with our wait or by looking at memory themselves, for each other, for a
// peer chip, for what their program has yet to submit.
#include <sched.h>

#include <doctest/doctest.h>

#include <atomic>

#include "domain.hpp"
#include "latches.hpp"
#include "troupe/runtime/comm_context.hpp"
#include "troupe/runtime/waiting_kernel.hpp"

using namespace troupe;
using namespace troupe::test;
using runtime::KernelArgs;

namespace {

// As code from elsewhere does it: the chip cannot see that it waits.
void look_until(std::int32_t& flag, std::int32_t wanted) {
  while (std::atomic_ref(flag).load() < wanted) sched_yield();
}
void meet_others(KernelArgs& k) {
  auto& word = k.tensor<std::int32_t>(0)[0];
  std::atomic_ref(word).fetch_add(1);
  look_until(word, k.scalar<std::int32_t>(0));
}

/// More than any host of these tests gives workers to a chip.
constexpr std::int32_t many = 12;
const std::map<std::string, std::string> two_workers{{"workers", "2"}};

}  // namespace

TROUPE_KERNEL(looks_for_others)(KernelArgs& k) { meet_others(k); }
TROUPE_WAITING_KERNEL(says_it_waits)(KernelArgs& k) { meet_others(k); }
// Waits only when told to, for what is submitted after it.
TROUPE_WAITING_KERNEL(looks_when_told)(KernelArgs& k) {
  if (k.scalar<std::int32_t>(0) != 0) look_until(k.tensor<std::int32_t>(0)[0], 1);
}
// pass_token (kernels.cpp), with eyes of its own.
TROUPE_WAITING_KERNEL(looks_for_token)(KernelArgs& k) {
  const auto& domain = *k.scalar<const runtime::CommContext*>(0);
  auto* mine = reinterpret_cast<std::int32_t*>(domain.windows_in[domain.rank]);
  auto* next = domain.on_peer(mine, (domain.rank + 1) % domain.rank_count);
  const auto rounds = k.scalar<std::int32_t>(1);
  for (std::int32_t round = 1; round <= rounds; ++round) {
    look_until(*mine, domain.rank == 0 ? round - 1 : round);
    std::atomic_ref(*next).store(round);
  }
  if (domain.rank == 0) look_until(*mine, rounds);
}

TROUPE_CHIP_PROGRAM(meet_in_sets)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [cluster, blocks_] = args.tensors<2>();
  chip.mixed({"looks_for_others", "looks_for_others", "looks_for_others"}, inout(cluster), scalar(3));
  chip.aiv("looks_for_others", inout(blocks_), scalar(many), blocks(many), sync_start);
}
TROUPE_CHIP_PROGRAM(meet_alone)(ChipOrchestrator& chip, ChipArgs args) {
  for (std::int32_t i = 0; i < many; ++i)
    chip.aiv("says_it_waits", runtime::no_dep(args.tensor(0)), scalar(many));
}
TROUPE_CHIP_PROGRAM(meet_foreign)(ChipOrchestrator& chip, ChipArgs args) {
  for (std::int32_t i = 0; i < many; ++i)
    chip.aiv("meets", runtime::no_dep(args.tensor(0)), scalar(std::int64_t{many}));
}
TROUPE_CHIP_PROGRAM(raises_at_last)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [flag, x] = args.tensors<2>();
  for (int i = 0; i < 500; ++i) chip.aiv("looks_when_told", inout(x), scalar(0));
  static_cast<void>(chip.get<std::int32_t>(x, 0));  // measured by now, and short
  chip.aiv("looks_when_told", runtime::no_dep(flag), scalar(1));
  for (int i = 0; i < 500; ++i) chip.aiv("count_one", inout(x));
  static_cast<void>(chip.get<std::int32_t>(x, 0));
  chip.aiv("raise", runtime::no_dep(flag));
}
TROUPE_CHIP_PROGRAM(token_in_a_program)(ChipOrchestrator& chip, ChipArgs args) {
  chip.aiv("looks_for_token", scalar(args.scalar<std::uint64_t>(0)), scalar(args.scalar<std::int32_t>(1)));
}
// Both vector cores of the only cluster wait for a third task of their kind.
TROUPE_CHIP_PROGRAM(no_core_left)(ChipOrchestrator& chip, ChipArgs args) {
  chip.aiv("wait_forever", runtime::no_dep(args.tensor(0)));
  chip.aiv("wait_forever", runtime::no_dep(args.tensor(0)));
  chip.aiv("raise", runtime::no_dep(args.tensor(0)));
}

TEST_CASE("members of a cluster task or of a sync_start set may look at memory until the others have come") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform, two_workers);
    std::int32_t words[2] = {};
    REQUIRE(chip.run(chip.add("meet_in_sets"),
                     RunArgs::of(inout(Tensor::host(&words[0], {1})), inout(Tensor::host(&words[1], {1})))));
    CHECK(words[0] == 3);
    CHECK(words[1] == many);
  }
}

TEST_CASE("kernels that say they wait, and foreign ones, have a thread each, however many they are") {
  for (const char* platform : platforms) {
    for (const std::string program : {"meet_alone", "meet_foreign"}) {
      CAPTURE(platform);
      CAPTURE(program);
      Chip chip(platform, two_workers);
      chip.add_foreign("meets", "meets");
      std::int32_t word = 0;
      REQUIRE(chip.run(chip.add(program), RunArgs::of(inout(Tensor::host(&word, {1})))));
      CHECK(word == many);
    }
  }
}

TEST_CASE("a kernel that says it waits may wait for what its program submits later, however short it was") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform, two_workers);
    std::int32_t words[2] = {};
    REQUIRE(chip.run(chip.add("raises_at_last"),
                     RunArgs::of(inout(Tensor::host(&words[0], {1})), inout(Tensor::host(&words[1], {1})))));
    CHECK(words[0] == 1);
    CHECK(words[1] == 500);
  }
}

TEST_CASE("kernels of several chips may look at their windows, alone or as tasks of a program") {
  for (const char* platform : platforms) {
    for (const char* callable : {"looks_for_token", "token_in_a_program"}) {
      CAPTURE(platform);
      CAPTURE(callable);
      Domain domain(platform, 3, 300);
      for (std::uint32_t rank = 0; rank < 3; ++rank) domain.launch(rank, callable, 20);
      for (std::uint32_t rank = 0; rank < 3; ++rank) {
        CHECK(domain.chips[rank]->completions.wait_for(rank + 1).completion.code == 0);
      }
    }
  }
}

TEST_CASE("waits that hold every core which could end them are a deadlock, not a hang") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform, two_workers);
    std::int32_t flag = 0;
    const auto args = RunArgs::of(inout(Tensor::host(&flag, {1})));
    auto run = args.run(0, chip.add("no_core_left"));
    run.block_dim = 1;
    CHECK(chip.context.run(run).error() == Errc::deadlock);
    run.block_dim = 2;
    CHECK(chip.context.run(run));
    CHECK(flag == 1);
  }
}

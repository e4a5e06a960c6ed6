// Kernels shorter than a hand-over, of a module in which no kernel waits: their tasks may be over when their
// submit returns. Nobody may notice anything but the speed. (sim_tests has kernels that wait, so its are
// not.)
#include <doctest/doctest.h>

#include <atomic>
#include <cstdint>
#include <stdexcept>
#include <thread>
#include <vector>

#include "fixture.hpp"
#include "troupe/platform/manual_host.hpp"
#include "troupe/runtime/kernel.hpp"

using namespace troupe;
using namespace troupe::test;
using runtime::KernelArgs;

namespace {

/// What a test and the code on its chip know of each other.
struct Shared {
  std::atomic<std::uint64_t> calls{0};
  std::atomic<bool> begun{false}, seen{false};
  std::uint64_t at_once = 0;
};

constexpr std::int32_t cells = 16;

/// As the task does it: cell `to` gets its own value, those of two others, and the task's number.
void mix_cells(std::uint64_t* to, const std::uint64_t* one, const std::uint64_t* other,
               std::uint64_t number) {
  *to = *to * 3 + *one - 2 * *other + number;
}

}  // namespace

TROUPE_KERNEL(mix)(KernelArgs& k) {
  mix_cells(k.tensor<std::uint64_t>(0).data(), k.tensor<std::uint64_t>(1).data(),
            k.tensor<std::uint64_t>(2).data(), k.scalar<std::uint64_t>(0));
}
TROUPE_KERNEL(count_call)(KernelArgs& k) {
  k.scalar<Shared*>(0)->calls.fetch_add(1, std::memory_order_relaxed);
}
TROUPE_KERNEL(fails_at)(KernelArgs& k) {
  auto& shared = *k.scalar<Shared*>(0);
  if (shared.calls.fetch_add(1) == k.scalar<std::uint64_t>(1)) throw std::runtime_error("its turn to fail");
}
TROUPE_KERNEL(until_aborted)(KernelArgs& k) {
  auto& shared = *k.scalar<Shared*>(0);
  if (k.scalar<std::int32_t>(1) == 0) return;
  shared.begun = true;
  while (!k.aborted()) std::this_thread::yield();
}
TROUPE_KERNEL(writes_input)(KernelArgs& k) {
  if (k.scalar<std::int32_t>(0) != 0) *k.tensor<std::uint64_t>(0).data() += 1;
}

// Every cell is a task's turn to write; some go over intermediates, which the graph has to know.
TROUPE_CHIP_PROGRAM(mixes)(ChipOrchestrator& chip, ChipArgs args) {
  const Tensor all = args.tensor(0);
  const auto cell = [&](std::int32_t i) {
    const auto at = static_cast<std::uint64_t>(i % cells);
    return all.slice(0, at, at + 1);
  };
  const auto rounds = args.scalar<std::int32_t>(0);
  for (std::int32_t i = 0; i < rounds; ++i) {
    if (i % 97 == 0) {
      const auto scope = chip.scope();
      const Tensor kept = chip.alloc(out_new<std::uint64_t>({1}).fill(static_cast<std::uint64_t>(i)));
      chip.aiv("mix", inout(cell(i)), in(kept), in(kept), scalar(static_cast<std::uint64_t>(i)));
    } else if (i % 89 == 0) {
      chip.aic("mix", inout(cell(i)), in(cell(i * 7 + 1)), in(cell(i * 5 + 2)),
               scalar(static_cast<std::uint64_t>(i)));
    } else {
      chip.aiv("mix", inout(cell(i)), in(cell(i * 7 + 1)), in(cell(i * 5 + 2)),
               scalar(static_cast<std::uint64_t>(i)));
    }
    if (i % 501 == 0) chip.set(all, chip.get<std::uint64_t>(all, i % cells) + 1, i % cells);
  }
}
TROUPE_CHIP_PROGRAM(counts_calls)(ChipOrchestrator& chip, ChipArgs args) {
  auto* shared = args.scalar<Shared*>(0);
  const auto rounds = args.scalar<std::uint64_t>(1);
  ChipTaskId last;
  for (std::uint64_t i = 1; i <= rounds; ++i) {
    last = chip.aiv("count_call", scalar(shared), after(last));
    if (shared->calls.load(std::memory_order_relaxed) == i) ++shared->at_once;
  }
}
TROUPE_CHIP_PROGRAM(fails_between)(ChipOrchestrator& chip, ChipArgs args) {
  auto* shared = args.scalar<Shared*>(0);
  const auto rounds = args.scalar<std::uint64_t>(1);
  for (std::uint64_t i = 0; i < rounds; ++i)
    chip.aiv("fails_at", inout(args.tensor(0)), scalar(shared), scalar(rounds / 2));
}
// Submits until it is told to end; `begun` says that everything so far has.
TROUPE_CHIP_PROGRAM(until_fatal)(ChipOrchestrator& chip, ChipArgs args) {
  auto* shared = args.scalar<Shared*>(0);
  for (std::uint64_t i = 0; chip.fatal() == 0; ++i) {
    chip.aiv("count_call", scalar(shared));
    if (i > 10'000) shared->begun = true;
  }
  shared->seen = chip.aiv("count_call", scalar(shared)).number == 0;
}
TROUPE_CHIP_PROGRAM(stays_inside)(ChipOrchestrator& chip, ChipArgs args) {
  auto* shared = args.scalar<Shared*>(0);
  for (int i = 0; i < 10'000; ++i) chip.aiv("until_aborted", scalar(shared), scalar(0));
  chip.aiv("until_aborted", scalar(shared), scalar(1));
}
TROUPE_CHIP_PROGRAM(changes_input)(ChipOrchestrator& chip, ChipArgs args) {
  for (int i = 0; i < 3'000; ++i) chip.aiv("writes_input", in(args.tensor(0)), scalar(0));
  chip.aiv("writes_input", in(args.tensor(0)), scalar(1));
}

TROUPE_MODULE("at_once_tests");

TEST_CASE("no kernel of this module waits, and its module says so") {
  CHECK_FALSE(runtime::has_waits(troupe_this_module));
}

TEST_CASE("tasks that are run at once leave the memory as one after the other") {
  for (const char* platform : platforms) {
    for (const char* checked : {"0", "1"}) {
      CAPTURE(platform);
      CAPTURE(checked);
      Chip chip(platform, {{"checked", checked}, {"workers", "2"}});
      const auto program = chip.add("mixes");
      for (const std::int32_t rounds : {1, 40, 3'000, 20'000}) {
        std::vector<std::uint64_t> values(cells), expected(cells);
        for (std::int32_t i = 0; i < cells; ++i) {
          values[static_cast<std::size_t>(i)] = expected[static_cast<std::size_t>(i)] =
              static_cast<std::uint64_t>(i);
        }
        for (std::int32_t i = 0; i < rounds; ++i) {
          const auto at = [&](std::int32_t k) { return &expected[static_cast<std::size_t>(k % cells)]; };
          const auto kept = static_cast<std::uint64_t>(i);
          if (i % 97 == 0) {
            mix_cells(at(i), &kept, &kept, kept);
          } else {
            mix_cells(at(i), at(i * 7 + 1), at(i * 5 + 2), kept);
          }
          if (i % 501 == 0) ++*at(i);
        }
        REQUIRE(chip.run(program, RunArgs::of(inout(Tensor::host(values.data(), {cells})), scalar(rounds))));
        CHECK(values == expected);
      }
    }
  }
}

TEST_CASE("a quick task is over when its submit returns, and counts like any other") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform, {{"checked", "0"}});
    const auto program = chip.add("counts_calls");
    constexpr std::uint64_t rounds = 20'000;
    std::uint64_t at_once = 0;
    // Until the host lets the kernel look as short as it is.
    for (int attempt = 0; attempt < 200 && at_once < rounds / 2; ++attempt) {
      Shared shared;
      Shared* where = &shared;
      const auto done = chip.run(program, RunArgs::of(scalar(where), scalar(rounds)));
      REQUIRE(done);
      CHECK(done->chip_tasks == rounds);
      CHECK(shared.calls == rounds);
      at_once = shared.at_once;
    }
    CHECK(at_once >= rounds / 2);
  }
}

TEST_CASE("a task that fails at once ends the run with its error, and nothing starts after it") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    const auto program = chip.add("fails_between");
    for (int attempt = 0; attempt < 3; ++attempt) {
      Shared shared;
      Shared* where = &shared;
      std::uint64_t x = 0;
      constexpr std::uint64_t rounds = 10'000;
      const auto done =
          chip.run(program, RunArgs::of(inout(Tensor::host(&x, {1})), scalar(where), scalar(rounds)));
      REQUIRE_FALSE(done);
      CHECK(done.error() == Errc::kernel_failed);
      CHECK(done.error().message().find("its turn to fail") != std::string::npos);
      CHECK(shared.calls == rounds / 2 + 1);
    }
    Shared shared;
    Shared* where = &shared;
    CHECK(chip.run(chip.add("counts_calls"), RunArgs::of(scalar(where), scalar(std::uint64_t{10}))));
  }
}

TEST_CASE("an abort reaches a program whose tasks are run at once, and a kernel that one of them is inside") {
  for (const char* platform : platforms) {
    for (const char* name : {"until_fatal", "stays_inside"}) {
      CAPTURE(platform);
      CAPTURE(name);
      Chip chip(platform);
      const auto program = chip.add(name);
      Shared shared;
      Shared* where = &shared;
      const auto args = RunArgs::of(scalar(where));
      const auto run = args.run(1, program);
      REQUIRE(chip.context.launch({&run, 1}));
      while (!shared.begun) std::this_thread::yield();
      REQUIRE(chip.context.abort(1));
      CHECK(chip.completions.wait_for(1).completion.code == TROUPE_DEVICE_ABORTED);
      if (std::string(name) == "until_fatal") CHECK(shared.seen);
    }
  }
}

TEST_CASE("a checked chip sees that a task which is run at once writes to its input") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform, {{"checked", "1"}});
    std::uint64_t x = 0;
    const auto done = chip.run(chip.add("changes_input"), RunArgs::of(in(Tensor::host(&x, {1}))));
    REQUIRE_FALSE(done);
    CHECK(done.error().message().find("which it got as in") != std::string::npos);
  }
}

TEST_CASE("a host without threads runs tasks at once, too") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    const auto host = std::make_shared<ManualHost>();
    Completions completions;
    ContextEvents events;
    events.complete = [&](std::span<const troupe_completion> batch) { completions.add(batch); };
    auto context = DeviceContext::create(Chip::api(platform), host, events).value();
    context.set_device(0).value();
    const auto program = context.register_callable("counts_calls", troupe_this_module).value();
    constexpr std::uint64_t rounds = 5'000;
    Shared shared;
    Shared* where = &shared;
    const auto args = RunArgs::of(scalar(where), scalar(rounds));
    for (std::uint64_t run = 1; run <= 3; ++run) {
      shared.calls = 0;
      const auto launched = args.run(run, program);
      REQUIRE(context.launch({&launched, 1}));
      host->run();
      CHECK(completions.wait_for(run).completion.code == 0);
      CHECK(shared.calls == rounds);
    }
  }
}

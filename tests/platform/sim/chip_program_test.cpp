#include <doctest/doctest.h>

#include "fixture.hpp"

using namespace troupe;
using namespace troupe::test;

// f = (a + b + 1)(a + b + 2) + (a + b), the reference's vector example.
TROUPE_CHIP_PROGRAM(vector_chain)(ChipOrchestrator& chip, ChipArgs args) {
  auto [a, b, f] = args.tensors<3>();
  auto c = chip.aiv("add", in(a), in(b), out_like(a));
  auto s = chip.scope();
  auto d = chip.aiv("add_scalar", in(c), out_like(a), scalar(1.0f));
  auto e = chip.aiv("add_scalar", in(c), out_like(a), scalar(2.0f));
  auto g = chip.aiv("mul", in(d), in(e), out_like(a));
  chip.aiv("add", in(g), in(c), out(f));
}

TROUPE_CHIP_PROGRAM(long_chain)(ChipOrchestrator& chip, ChipArgs args) {
  auto x = args.tensor(0);
  for (int i = 0; i < args.scalar<int>(0); ++i) chip.aiv("increment", inout(x));
}

TROUPE_CHIP_PROGRAM(elements)(ChipOrchestrator& chip, ChipArgs args) {
  auto x = args.tensor(0);
  chip.aiv("increment", inout(x));
  const float seen = chip.get<float>(x, 0);
  chip.set(x, seen * 10, 1);
  chip.aiv("increment", inout(x));
  auto fresh = chip.alloc(out_like(x).fill(7.0f));
  chip.set(fresh, 70.0f, 2);
  chip.aiv("add", in(x), in(fresh), out(args.tensor(1)));
}

TROUPE_CHIP_PROGRAM(names_nobody)(ChipOrchestrator& chip, ChipArgs) {
  chip.aiv("no_such_kernel");
  chip.aiv("nothing");
}

TROUPE_CHIP_PROGRAM(reports)(ChipOrchestrator& chip, ChipArgs args) {
  chip.aiv("increment", inout(args.tensor(0)));
  chip.report_fatal("out of tiles");
  chip.aiv("increment", inout(args.tensor(0)));
}

TROUPE_CHIP_PROGRAM(wants_three)(ChipOrchestrator& chip, ChipArgs args) {
  auto [a, b, c] = args.tensors<3>();
  chip.aiv("add", in(a), in(b), out(c));
}

TROUPE_CHIP_PROGRAM(waits_in_a_program)(ChipOrchestrator& chip, ChipArgs args) {
  chip.aiv("wait_forever", inout(args.tensor(0)));
}

TROUPE_CHIP_PROGRAM(runs_a_failure)(ChipOrchestrator& chip, ChipArgs) { chip.aiv("throws"); }

TEST_CASE("a chip program runs its tasks in the order their data asks for") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    const auto program = chip.add("vector_chain");
    for (int round = 0; round < 20; ++round) {
      std::vector<float> a(128 * 128, 2), b(128 * 128, 3), f(128 * 128, 0);
      auto done = chip.run(
          program, RunArgs::of(in(Tensor::host(a.data(), {128, 128})), in(Tensor::host(b.data(), {128, 128})),
                               out(Tensor::host(f.data(), {128, 128}))));
      REQUIRE(done);
      CHECK(done->chip_tasks == 5);
      CHECK(f == std::vector<float>(128 * 128, 47));
    }
  }
}

TEST_CASE("a chain of a hundred thousand tasks fits a window of sixteen thousand") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    float x = 0;
    REQUIRE(chip.run(chip.add("long_chain"), RunArgs::of(inout(Tensor::host(&x, {1})), scalar(100'000))));
    CHECK(x == 100'000);
  }
}

TEST_CASE("elements can be read and written between tasks, in order") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    std::vector<float> x(4, 1), sum(4, 0);
    REQUIRE(chip.run(chip.add("elements"),
                     RunArgs::of(inout(Tensor::host(x.data(), {4})), out(Tensor::host(sum.data(), {4})))));
    CHECK(x == std::vector<float>{3, 21, 3, 3});
    CHECK(sum == std::vector<float>{10, 28, 73, 10});
  }
}

TEST_CASE("the first fatal ends a chip program, with its code, and nothing is copied back") {
  Chip chip("a2a3sim");
  float x = 5;
  const auto code_of = [&](const char* program, const RunArgs& args) {
    const auto failed = chip.run(chip.add(program), args);
    REQUIRE_FALSE(failed);
    return failed.error().code().value;
  };
  const auto one = RunArgs::of(inout(Tensor::host(&x, {1})));
  CHECK(code_of("reports", one) == 9);
  CHECK(x == 5);
  CHECK(code_of("names_nobody", {}) == TROUPE_DEVICE_UNKNOWN_CALLABLE);
  CHECK(code_of("wants_three", one) == 5);
  CHECK(code_of("runs_a_failure", {}) == TROUPE_DEVICE_KERNEL_FAILED);
  CHECK(chip.run(chip.add("long_chain"), RunArgs::of(inout(Tensor::host(&x, {1})), scalar(3))));
  CHECK(x == 8);
}

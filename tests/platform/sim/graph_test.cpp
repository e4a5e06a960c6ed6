#include <doctest/doctest.h>

#include <cstdlib>

#include "fixture.hpp"
#include "latches.hpp"

using namespace troupe;
using namespace troupe::test;

// f = (a + 1) * (a + 2), with edges by hand: the tags say nothing here.
static void diamond(ChipOrchestrator& chip, const ChipArgs& args) {
  auto [a, f] = args.tensors<2>();
  auto d = chip.aiv("add_scalar", in(a), out_like(a), scalar(1.0f));
  auto e = chip.aiv("add_scalar", in(a), out_like(a), scalar(2.0f));
  auto g = chip.aiv("mul", in(d), in(e), out_like(a), after(d), after(e));
  auto last = chip.aiv("add_scalar", in(g), out(f), scalar(0.0f));
  chip.edge(g, last);
}
TROUPE_CHIP_PROGRAM_WITH(host_graph, TROUPE_CHIP_RUNTIME_HOST_GRAPH)(ChipOrchestrator& chip, ChipArgs args) {
  diamond(chip, args);
}
TROUPE_CHIP_PROGRAM_WITH(chip_graph, TROUPE_CHIP_RUNTIME_CHIP_GRAPH)(ChipOrchestrator& chip, ChipArgs args) {
  diamond(chip, args);
}

TROUPE_CHIP_PROGRAM_WITH(a_cycle, TROUPE_CHIP_RUNTIME_HOST_GRAPH)(ChipOrchestrator& chip, ChipArgs) {
  auto first = chip.aiv("nothing");
  auto second = chip.aiv("nothing");
  chip.edge(first, second);
  chip.edge(second, first);
}

TROUPE_CHIP_PROGRAM_WITH(wide_host_graph, TROUPE_CHIP_RUNTIME_HOST_GRAPH)
(ChipOrchestrator& chip, ChipArgs args) {
  for (int i = 0; i < args.scalar<int>(0); ++i) chip.aiv("nothing");
}

TROUPE_CHIP_PROGRAM(fills_the_heap)(ChipOrchestrator& chip, ChipArgs args) {
  auto x = args.tensor(0);
  for (int i = 0; i < args.scalar<int>(0); ++i) chip.aiv("add_scalar", in(x), out_like(x), scalar(1.0f));
}

TROUPE_CHIP_PROGRAM(reuses_the_heap)(ChipOrchestrator& chip, ChipArgs args) {
  auto x = args.tensor(0);
  for (int i = 0; i < args.scalar<int>(0); ++i) {
    auto s = chip.scope();
    auto next = chip.aiv("add_scalar", in(x), out_like(x), scalar(1.0f));
    chip.aiv("add_scalar", in(next), out(x), scalar(0.0f));
  }
}

TROUPE_CHIP_PROGRAM(too_deep)(ChipOrchestrator& chip, ChipArgs args) {
  std::vector<ChipScope> scopes;
  for (int i = 0; i < args.scalar<int>(0); ++i) scopes.push_back(chip.scope());
  chip.aiv("increment", inout(args.tensor(0)));
  while (!scopes.empty()) scopes.pop_back();
}

TROUPE_CHIP_PROGRAM(bad_arguments)(ChipOrchestrator& chip, ChipArgs) { chip.aiv("nothing", blocks(0)); }

TROUPE_CHIP_PROGRAM(foreign_memory)(ChipOrchestrator& chip, ChipArgs args) {
  auto x = args.tensor(0);
  chip.aiv("increment", inout(Tensor::host(args.scalar<float*>(0), x.shape())));
}

// Two tasks that nothing orders, of which the first waits for the second.
TROUPE_CHIP_PROGRAM(waits_for_a_later_task)(ChipOrchestrator& chip, ChipArgs args) {
  auto flag = args.tensor(0);
  chip.aiv("wait_forever", runtime::no_dep(flag));
  chip.aiv("raise", runtime::no_dep(flag));
}

TEST_CASE("graphs with edges by hand run, built before launch or on the chip") {
  for (const char* platform : platforms) {
    for (const char* program : {"host_graph", "chip_graph"}) {
      CAPTURE(platform);
      CAPTURE(program);
      Chip chip(platform);
      const auto id = chip.add(program);
      for (int round = 0; round < 20; ++round) {
        std::vector<float> a(64, 3), f(64, 0);
        REQUIRE(
            chip.run(id, RunArgs::of(in(Tensor::host(a.data(), {64})), out(Tensor::host(f.data(), {64})))));
        CHECK(f == std::vector<float>(64, 20));
      }
    }
  }
}

TEST_CASE("fatal conditions of a graph have the reference's codes, and the chip stays usable") {
  Chip small("a2a3sim", {{"memory_bytes", "1048576"}});  // arenas of 128 KiB
  std::vector<float> x(256, 0);
  const auto tensor = inout(Tensor::host(x.data(), {256}));
  const auto code_of = [&](const char* program, const RunArgs& args) {
    CAPTURE(program);
    const auto done = small.run(small.add(program), args);
    return done ? 0 : done.error().code().value;
  };
  CHECK(code_of("fills_the_heap", RunArgs::of(tensor, scalar(20'000))) == 2);
  CHECK(code_of("reuses_the_heap", RunArgs::of(tensor, scalar(1000))) == 0);
  CHECK(x == std::vector<float>(256, 1000));
  CHECK(code_of("a_cycle", {}) == 100);
  CHECK(code_of("wide_host_graph", RunArgs::of(scalar(131'073))) == 1);
  CHECK(code_of("too_deep", RunArgs::of(tensor, scalar(65))) == 5);
  CHECK(code_of("bad_arguments", {}) == 5);
  float stranger = 0;
  CHECK(code_of("foreign_memory", RunArgs::of(tensor, scalar(&stranger))) == TROUPE_DEVICE_BAD_ADDRESS);
  CHECK(stranger == 0);
}

TEST_CASE("scopes nest to the depth of the reference") {
  Chip chip("a5sim");
  float x = 0;
  CHECK(chip.run(chip.add("too_deep"), RunArgs::of(inout(Tensor::host(&x, {1})), scalar(63))));
  CHECK(x == 1);
}

TEST_CASE("a kernel may wait for one that no edge orders it to") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    std::int32_t flag = 0;
    const auto program = chip.add("waits_for_a_later_task");
    for (int round = 0; round < 50; ++round) {
      flag = 0;
      REQUIRE(chip.run(program, RunArgs::of(inout(Tensor::host(&flag, {1})))));
    }
  }
}

TEST_CASE("abort ends a run that waits, and the chip goes on") {
  Chip chip("a2a3sim");
  const RunArgs none;
  Latches latches;
  const RunArgs args = RunArgs::of(scalar(&latches));
  const std::vector<troupe_run> runs{args.run(1, chip.add("stuck")), none.run(2, chip.add("nothing"))};
  REQUIRE(chip.context.launch(runs));
  latches.entered.wait();
  REQUIRE(chip.context.abort(1));
  latches.leave.open();
  CHECK(chip.completions.wait_for(2).completion.code == 0);
}

TEST_CASE("a profiled run tells what ran where, and a dumped one what it saw") {
  Chip chip("a2a3sim");
  std::vector<float> a(4, 3), f(4, 0);
  const auto args = RunArgs::of(in(Tensor::host(a.data(), {4})), out(Tensor::host(f.data(), {4})));
  auto run = args.run(0, chip.add("chip_graph"));
  run.flags = TROUPE_RUN_PROFILE | TROUPE_RUN_DUMP;
  REQUIRE(chip.context.run(run));
  REQUIRE(chip.trace.size() == 5);
  std::size_t programs = 0;
  for (const auto& event : chip.trace) {
    CHECK(event.begin_ns <= event.end_ns);
    programs += event.core == TROUPE_NO_CORE ? 1 : 0;
  }
  CHECK(programs == 1);
  for (const auto& event : chip.trace) {
    if (event.task != 3) continue;
    CHECK(event.producer_count == 2);  // the product waited for both sums
    CHECK(event.ready_ns >= event.submitted_ns);
  }
  // Per kernel: its inputs before, its output after.
  CHECK(chip.dumps.size() == 2 + 2 + 3 + 2);
}

// What chip programs see of single elements, and kernels of the tensors that were made for them.
#include <doctest/doctest.h>

#include "fixture.hpp"

using namespace troupe;
using namespace troupe::test;

// With edges by hand the tags order no tasks, but they still say who touches what.
static void ask_by_hand(ChipOrchestrator& chip, const ChipArgs& args) {
  const auto [x, sum] = args.tensors<2>();
  ChipTaskId last;
  for (int i = 0; i < 200; ++i) last = chip.aiv("increment", inout(x), after(last));
  const float seen = chip.get<float>(x, 0);
  chip.aiv("add", in(x), in(x), out(sum), after(last));
  chip.set(x, seen * 10, 0);  // not before it was read
}
TROUPE_CHIP_PROGRAM_WITH(asks_chip_graph, TROUPE_CHIP_RUNTIME_CHIP_GRAPH)
(ChipOrchestrator& chip, ChipArgs args) { ask_by_hand(chip, args); }
TROUPE_CHIP_PROGRAM_WITH(asks_host_graph, TROUPE_CHIP_RUNTIME_HOST_GRAPH)
(ChipOrchestrator& chip, ChipArgs args) { ask_by_hand(chip, args); }

// Views of one intermediate: the question is about one element, the task about another, or about it.
TROUPE_CHIP_PROGRAM_WITH(asks_intermediates, TROUPE_CHIP_RUNTIME_CHIP_GRAPH)
(ChipOrchestrator& chip, ChipArgs args) {
  const auto answers = args.tensor(0);
  const auto made = chip.aiv("increment", out_new<float>({4}).fill(4.0f));
  const Tensor x = made;
  ChipTaskId last = made;
  for (int i = 0; i < 50; ++i) last = chip.aiv("increment", inout(x.slice(0, 0, 2)), after(last));
  chip.set(answers, chip.get<float>(x, 3), 0);
  chip.set(answers, chip.get<float>(x, 1), 1);
}

TROUPE_CHIP_PROGRAM(raises_by_hand)(ChipOrchestrator& chip, ChipArgs args) {
  const auto flag = args.tensor(0);
  chip.aiv("wait_forever", runtime::no_dep(flag));
  chip.set(flag, std::int32_t{1}, 0);
}

TROUPE_CHIP_PROGRAM(forgets_to_write)(ChipOrchestrator& chip, ChipArgs args) {
  const auto made = chip.aiv("first_only", out_new<float>({4}));
  const auto kept = chip.alloc(out_new<float>({4}));
  chip.aiv("add", in(made), in(made), out(args.tensor(0)));
  chip.aiv("add", in(kept), in(kept), out(args.tensor(1)));
}

TROUPE_CHIP_PROGRAM(names_owners)(ChipOrchestrator& chip, ChipArgs args) {
  const auto answers = args.tensor(0);
  const auto ask = [&](const Tensor& tensor, std::uint64_t owner, std::uint64_t answer) {
    chip.aiv("compare_owner", in(tensor), inout(answers.slice(0, answer, answer + 1)), scalar(owner));
  };
  const auto first = chip.aiv("nothing", out_new<float>({4}));
  const auto second = chip.aiv("nothing", in(first), out_new<float>({4}));
  ask(first, first.number, 0);
  ask(second.outputs[0].slice(0, 1, 3), second.number, 1);
  ask(chip.alloc(out_new<float>({4})), runtime::no_owner, 2);
  ask(args.tensor(1), runtime::no_owner, 3);
}

TEST_CASE("an element of a chip-built graph is read after its writers and written after its readers") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    const auto arguments = chip.add("asks_chip_graph"), intermediates = chip.add("asks_intermediates");
    for (int round = 0; round < 20; ++round) {
      std::vector<float> x(4, 0), sum(4, 0), answers(2, 0);
      REQUIRE(chip.run(arguments,
                       RunArgs::of(inout(Tensor::host(x.data(), {4})), out(Tensor::host(sum.data(), {4})))));
      CHECK(x[0] == 2000);
      CHECK(sum == std::vector<float>(4, 400));
      REQUIRE(chip.run(intermediates, RunArgs::of(inout(Tensor::host(answers.data(), {2})))));
      CHECK(answers == std::vector<float>{5, 55});
    }
  }
}

TEST_CASE("a graph that is built before launch has no values to ask for") {
  Chip chip("a5sim");
  std::vector<float> x(4, 0), sum(4, 7);
  const auto failed = chip.run(chip.add("asks_host_graph"), RunArgs::of(inout(Tensor::host(x.data(), {4})),
                                                                        out(Tensor::host(sum.data(), {4}))));
  REQUIRE_FALSE(failed);
  CHECK(failed.error().code().value == 8);
  CHECK(failed.error().message().find("built before launch") != std::string::npos);
  CHECK(sum == std::vector<float>(4, 7));
}

TEST_CASE("an element that the program sets ends a kernel's wait for it") {
  Chip chip("a2a3sim");
  const auto program = chip.add("raises_by_hand");
  for (int round = 0; round < 50; ++round) {
    std::int32_t flag = 0;
    REQUIRE(chip.run(program, RunArgs::of(inout(Tensor::host(&flag, {1})))));
  }
}

TEST_CASE("memory on the chip that nobody wrote is seen in a checked context") {
  Chip chip("a2a3sim", {{"checked", "1"}});
  std::vector<float> made(4, 0), kept(4, 0);
  REQUIRE(chip.run(chip.add("forgets_to_write"),
                   RunArgs::of(out(Tensor::host(made.data(), {4})), out(Tensor::host(kept.data(), {4})))));
  CHECK(made[0] == 2);
  for (std::size_t i = 1; i < 4; ++i) CHECK(made[i] != made[i]);
  for (std::size_t i = 0; i < 4; ++i) CHECK(kept[i] != kept[i]);
}

TEST_CASE("a kernel sees which task a tensor was made for") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    std::vector<std::int32_t> answers(4, 0);
    std::vector<float> other(4, 0);
    REQUIRE(chip.run(chip.add("names_owners"), RunArgs::of(inout(Tensor::host(answers.data(), {4})),
                                                           in(Tensor::host(other.data(), {4})))));
    CHECK(answers == std::vector<std::int32_t>(4, 1));
  }
}

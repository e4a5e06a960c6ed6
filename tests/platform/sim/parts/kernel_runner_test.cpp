#include <doctest/doctest.h>

#include "engine/kernel_runner.hpp"
#include "parts/chip_parts.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::platform::sim;
using runtime::Tag;
using test::ChipParts;

namespace {

struct Runner : ChipParts {
  Runner() { runner.begin(kernels); }

  CoreBoard board;
  Pipes pipes;
  Baton baton{0};
  KernelRunner runner{baton, board, pipes, schedule, traces};
};

}  // namespace

TEST_CASE("a predicate that does not hold skips the task, new tensors are filled all the same") {
  ChipParts chip;
  const auto a = test::vector_in(chip.memory, 4), b = test::vector_in(chip.memory, 4);
  chip.begin({a, b});
  TaskRecord* task =
      chip.build(chip.kernel("k"), {{a, Tag::out_existing, TROUPE_CHIP_FILL, 9}, {b, Tag::in}});
  REQUIRE(task != nullptr);
  task->has_predicate = true;
  task->tensor_count = 1;  // the last one is the predicate's
  task->predicate.element = 2;
  task->predicate.compare = TROUPE_LESS;
  task->predicate.value = 0;
  KernelRunner::prepare(*task);
  CHECK(task->skipped);
  CHECK(test::elements_of(a)[0] == 9);
  CHECK(test::elements_of(a)[3] == 9);
  test::elements_of(b)[2] = -1;
  KernelRunner::prepare(*task);
  CHECK_FALSE(task->skipped);
}

TEST_CASE("stores of elements run like kernels, until the run has failed") {
  Runner chip;
  const auto a = test::vector_in(chip.memory, 4);
  chip.begin({a});
  KernelEntry& store = chip.kernel("element store");
  const auto store_in = [&](std::uint64_t element, std::uint64_t value) {
    return chip.submit(chip.builder.build_store(a, element, value, false, store), kinds::quick_aiv);
  };
  Batch batch;
  ArgumentWords words;
  store_in(1, 5);
  REQUIRE(chip.schedule.take(batch, Appetite::quick, true));
  chip.runner.run(batch, words);
  CHECK(test::elements_of(a)[1] == 5);
  chip.schedule.end_batch(batch, true);

  store_in(1, 6);
  REQUIRE(chip.schedule.take(batch, Appetite::quick, true));
  chip.schedule.fail(Error(platform::Errc::aborted, "meanwhile"));
  chip.runner.run(batch, words);
  CHECK(test::elements_of(a)[1] == 5);
}

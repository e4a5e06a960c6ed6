#include <doctest/doctest.h>

#include "tasks/tasks.hpp"

using namespace troupe::platform::sim;

namespace {

struct Task {
  explicit Task(std::uint32_t usual_ticks) {
    entry.usual_ticks = usual_ticks;
    record.entry = &entry;
    record.lanes[TROUPE_CHIP_AIV0] = &entry;
  }
  KernelEntry entry;
  TaskRecord record;
};

const std::uint32_t microsecond = ticks_per_microsecond();

}  // namespace

TEST_CASE("a task's kind is what its kernel took so far, and where it runs") {
  Pace pace;
  CHECK(pace.kind_of(Task(0).record) == kinds::aiv);
  CHECK(pace.kind_of(Task(microsecond / 4).record) == kinds::quick_aiv);
  CHECK(pace.kind_of(Task(microsecond).record) == kinds::short_aiv);
  CHECK(pace.kind_of(Task(microsecond * 100).record) == kinds::aiv);
  Task waits(microsecond / 4);
  waits.entry.waits = true;
  CHECK(pace.kind_of(waits.record) == kinds::lone_aiv);
  Task matrix(microsecond / 4);
  std::swap(matrix.record.lanes[TROUPE_CHIP_AIC], matrix.record.lanes[TROUPE_CHIP_AIV0]);
  CHECK(pace.kind_of(matrix.record) == kinds::quick_aic);
  Task blocks(microsecond / 4);
  blocks.record.blocks = 2;
  CHECK(pace.kind_of(blocks.record) == kinds::set);
}

TEST_CASE(
    "the more handing over costs the longer are quick kernels, up to a bound, and the cost is forgotten") {
  Pace pace;
  const Task two(2 * microsecond), four(4 * microsecond);
  CHECK_FALSE(pace.is_quick(two.entry));
  pace.handed_over(10 * microsecond);
  CHECK(pace.is_quick(two.entry));
  CHECK_FALSE(pace.is_quick(four.entry));
  for (std::uint32_t i = 0; i < 20 * Pace::forget_interval; ++i) pace.submitted();
  CHECK_FALSE(pace.is_quick(two.entry));
  pace.handed_over(10 * microsecond);
  pace.begin();
  CHECK_FALSE(pace.is_quick(two.entry));
}

TEST_CASE("the program's thread looks for work once in so many submits") {
  Pace pace;
  std::uint32_t looks = 0;
  for (std::uint32_t i = 0; i < 10 * Pace::help_interval; ++i) looks += pace.submitted() ? 1 : 0;
  CHECK(looks == 10);
}

TEST_CASE("what a kernel usually takes falls at once and rises slowly") {
  KernelEntry entry;
  Pace::learn(entry, 1000);
  CHECK(entry.usual_ticks == 1000);
  Pace::learn(entry, 100'000);
  CHECK(entry.usual_ticks == 1250);
  Pace::learn(entry, 250);
  CHECK(entry.usual_ticks == 750);
  Pace::learn(entry, 0);
  CHECK(entry.usual_ticks > 0);
}

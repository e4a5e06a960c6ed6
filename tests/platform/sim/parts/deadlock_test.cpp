#include <doctest/doctest.h>

#include "parts/chip_parts.hpp"

using namespace troupe;
using namespace troupe::platform::sim;
using runtime::Tag;
using test::ChipParts;

namespace {

bool is_nothing(const DeadlockProof::Finding& found) {
  return !found.failure && !found.ends_waits && !found.ends_program_wait;
}

/// A chip whose only task waits for an event that nothing brings.
struct StuckChip : ChipParts {
  StuckChip() {
    begin();
    submit(build(kernel("k"), {}), kinds::short_aiv, 1);
  }
};

}  // namespace

TEST_CASE("while the program goes on, something may come") {
  StuckChip chip;
  CHECK(is_nothing(chip.deadlock.look()));
  chip.whereabouts.program_runs = false;
  const auto found = chip.deadlock.look();
  REQUIRE(found.failure);
  CHECK_FALSE(found.ends_waits);
}

TEST_CASE("a kernel that runs may bring something about, a ready one may as well") {
  StuckChip chip;
  chip.whereabouts.program_runs = false;
  chip.whereabouts.executing = 1;
  CHECK(is_nothing(chip.deadlock.look()));
  chip.whereabouts.executing = 0;
  chip.submit_new({});
  CHECK(is_nothing(chip.deadlock.look()));
  chip.whereabouts.helpless = true;
  CHECK_FALSE(is_nothing(chip.deadlock.look()));
  chip.whereabouts.looking = 1;
  CHECK(is_nothing(chip.deadlock.look()));
}

TEST_CASE("a run without tasks is no deadlock, nor is no run") {
  ChipParts chip;
  CHECK(is_nothing(chip.deadlock.look()));
  chip.begin();
  chip.whereabouts.program_runs = false;
  CHECK(is_nothing(chip.deadlock.look()));
}

TEST_CASE("a program that waits in vain is told, once") {
  StuckChip chip;
  chip.whereabouts.program_waits = ProgramWait::room;
  const auto found = chip.deadlock.look();
  CHECK(found.ends_program_wait);
  CHECK_FALSE(found.failure);
  chip.whereabouts.program_stuck = true;
  CHECK(is_nothing(chip.deadlock.look()));
}

TEST_CASE("kernels that all wait for each other end, and say what the program waited for besides") {
  StuckChip chip;
  std::int32_t flag = 0;
  const FlagCondition condition{.flag = &flag, .value = 1, .place = FlagPlace::argument(2, 0)};
  chip.whereabouts.program_waits = ProgramWait::room;
  chip.whereabouts.executing = 1;
  DeadlockProof::Finding found;
  const auto end = chip.kernels.flags().wait(condition, true, [&] {
    found = chip.deadlock.look();
    chip.kernels.flags().end_all(FlagWaits::End::deadlocked);
  });
  CHECK(end == FlagWaits::End::deadlocked);
  CHECK(found.ends_waits);
  REQUIRE(found.failure);
  CHECK(*found.failure == runtime::Errc::flow_control_deadlock);
  CHECK(found.failure->message().find("element 0 of tensor argument 2") != std::string::npos);
}

TEST_CASE("why there is no room: tasks that are held, or tasks that cannot end") {
  StuckChip chip;
  CHECK(chip.deadlock.stuck_for_room() == runtime::Errc::flow_control_deadlock);
  TaskRecord* held = chip.submit(chip.build(chip.kernel("h"), {}), kinds::short_aiv, 1);
  chip.schedule.hold(*held);
  CHECK(chip.deadlock.stuck_for_room() == runtime::Errc::scope_deadlock);
  CHECK(chip.deadlock.stuck_for_element() == runtime::Errc::tensor_wait_timeout);
}

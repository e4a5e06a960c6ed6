// Connections for many bytes that cannot be had, or that end: what becomes of the copies, and of the chip.
#include <optional>
#include <thread>
#include <vector>

#include "between.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

constexpr auto many = 5 * part_bytes;

/// There and back.
bool goes_well(IsolatedChip& chip, std::uint64_t there, unsigned value) {
  const std::vector<std::byte> sent(many, std::byte(value));
  std::vector<std::byte> came(many);
  const auto put = chip.context->copy_to(there, sent.data(), many);
  const auto got = chip.context->copy_from(came.data(), there, many);
  if (!put) MESSAGE(render(put.error()));
  if (!got) MESSAGE(render(got.error()));
  return put && got && came == sent;
}

}  // namespace

TEST_CASE("many bytes go with the rest where they cannot have connections of their own, until they can") {
  const TestNode node;
  Between between(node);
  between.refuse(true);
  IsolatedChip chip(node.chip(0, {1, 2}, between.address()));
  const auto there = chip.context->malloc(many).value();
  CHECK(goes_well(chip, there, 1));
  std::vector<std::byte> some(many);
  CHECK_FALSE(chip.context->copy_to(there + 1, some.data(), many));
  CHECK(goes_well(chip, there, 2));
  REQUIRE(between.joined() == 0);
  CHECK(chip.count_logged("many bytes go with the rest") == 1);
  between.refuse(false);
  bool well = true;
  while (well && between.joined() < 2) well = goes_well(chip, there, 3);
  CHECK(well);
}

TEST_CASE("connections for many bytes that end between two transfers do not cost the chip") {
  const TestNode node;
  Between between(node);
  IsolatedChip chip(node.chip(0, {1, 2}, between.address()));
  const auto process = static_cast<pid_t>(chip.process());
  const auto there = chip.context->malloc(many).value();
  for (unsigned round = 0; round < 4; ++round) {
    const auto before = between.joined();
    // With the rest they would go well, too.
    while (between.joined() < before + 2) REQUIRE(goes_well(chip, there, round));
    between.cut();
  }
  CHECK(goes_well(chip, there, 9));
  CHECK(is_there(process));
}

TEST_CASE("what a chip died of is told, also where a connection for many bytes is seen to end first") {
  const TestNode node;
  Between between(node);
  IsolatedChip chip(node.chip(0, {1, 2}, between.address()));
  const auto there = chip.context->malloc(16 * many).value();
  const auto crash = chip.kernel("isolated_crash");
  REQUIRE(goes_well(chip, there, 1));
  between.hold_bytes(true);
  between.hold_answers(true);
  std::string told;
  std::thread copy([&] {
    const std::vector<std::byte> some(16 * many);
    if (const auto done = chip.context->copy_to(there, some.data(), some.size()); !done)
      told = render(done.error());
  });
  between.wait_for_bytes();
  const auto run = chip.launch(crash, {}, "the bad task");
  between.wait_for_end_of_bytes();
  // Who would not wait for the words has gone by the time that others have had a few.
  for (int i = 0; i < 50; ++i) CHECK(platform::describe_node({node.address()}).value().chips == 1);
  between.hold_answers(false);
  copy.join();
  CHECK_MESSAGE(contains(told, "isolated_crash"), told);
  const auto end = chip.end_of(run);
  CHECK_MESSAGE(contains(end.message, "isolated_crash"), end.message);
  between.hold_bytes(false);
}

#include <doctest/doctest.h>

#include "parts/chip_parts.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::platform::sim;
using runtime::Tag;
using test::ChipParts;

TEST_CASE("arguments become what the kernel sees and what the graph has to know") {
  ChipParts chip;
  const auto a = test::vector_in(chip.memory, 8), b = test::vector_in(chip.memory, 4);
  chip.begin({a});
  const TaskRecord* task = chip.build(chip.kernel("k"), {{a, Tag::in}, {b, Tag::inout}}, 3);
  REQUIRE(task != nullptr);
  CHECK(task->tensor_count == 2);
  CHECK(task->pieces_left == 3);
  CHECK_FALSE(task->is_symbolic);
  CHECK(task->tensors[0].address == a.buffer().offset);
  CHECK(task->tensors[1].extent == 4);
  const auto accesses = chip.builder.accesses();
  REQUIRE(accesses.size() == 2);
  CHECK(accesses[0].tag == Tag::in);
  CHECK(accesses[1].hi == 16);
}

TEST_CASE("with edges by hand tags order nothing") {
  ChipParts chip;
  const auto a = test::vector_in(chip.memory, 8);
  chip.begin({a}, true);
  REQUIRE(chip.build(chip.kernel("k"), {{a, Tag::inout}}) != nullptr);
  REQUIRE(chip.builder.accesses().size() == 1);
  CHECK(chip.builder.accesses()[0].tag == Tag::no_dep);
}

TEST_CASE("an output to be allocated is an intermediate of the task that the graph takes") {
  ChipParts chip;
  chip.begin();
  const auto wanted = runtime::Tensor::unallocated({8}, runtime::DType::i32);
  TaskRecord* task =
      chip.build(chip.kernel("k"), {{wanted, Tag::out, TROUPE_CHIP_ALLOCATE | TROUPE_CHIP_FILL, 5}});
  REQUIRE(task != nullptr);
  CHECK(task->is_symbolic);
  CHECK(task->fills[0].wanted);
  CHECK(task->fills[0].element == 5);
  const auto made = unpack(chip.packed[0].tensor);
  CHECK(made.buffer().arena != 0);
  CHECK(task->tensors[0].owner_task == runtime::no_owner);
  chip.submit(task, kinds::short_aiv);
  CHECK(task->tensors[0].owner_task == to_number(task->id));
  const TaskRecord* reader = chip.build(chip.kernel("r"), {{made, Tag::in}});
  REQUIRE(reader != nullptr);
  CHECK(reader->tensors[0].owner_task == to_number(task->id));
}

TEST_CASE("what cannot be a task's argument is refused with its reason, once") {
  ChipParts chip;
  const auto a = test::vector_in(chip.memory, 8);
  chip.begin({a});
  CHECK(chip.build(chip.kernel("k"), {{runtime::Tensor(), Tag::in}}) == nullptr);
  const auto refusal = chip.builder.take_refusal();
  REQUIRE(refusal);
  CHECK(refusal->message() == "tensor argument 0 of 'k' describes no tensor, or has an unknown tag");
  CHECK_FALSE(chip.builder.take_refusal());

  const auto stray =
      runtime::Tensor::create({.arena = 0, .generation = 0, .offset = 4096}, 32, 0, {8}, runtime::DType::i32)
          .value();
  CHECK(chip.build(chip.kernel("k"), {{a, Tag::in}, {stray, Tag::in}}) == nullptr);
  CHECK(chip.builder.take_refusal().value() == platform::Errc::bad_address);

  KernelEntry& is_signed = chip.kernel("s");
  is_signed.signature = {static_cast<std::uint8_t>(Tag::inout)};
  CHECK(chip.build(is_signed, {{a, Tag::in}}) == nullptr);
  CHECK(chip.builder.take_refusal().value() == runtime::Errc::invalid_args);
}

TEST_CASE("a task that runs at once takes memory of the run alone, and refuses nothing") {
  ChipParts chip;
  const auto a = test::vector_in(chip.memory, 8), other = test::vector_in(chip.memory, 8);
  chip.begin({a});
  KernelEntry& entry = chip.kernel("k");
  troupe_chip_argument_v1 argument{};
  argument.tag = static_cast<std::uint32_t>(Tag::inout);
  troupe_chip_task_v1 task{};
  task.size = sizeof task;
  task.blocks = 1;
  task.arguments = &argument;
  task.argument_count = 1;
  pack(a, argument.tensor);
  const TaskRecord* record = chip.builder.build_at_once(task, entry, TROUPE_CHIP_AIV0);
  REQUIRE(record != nullptr);
  CHECK(record->entry == &entry);
  CHECK(record->lanes[TROUPE_CHIP_AIV0] == &entry);
  CHECK(record->tensors[0].address == a.buffer().offset);
  pack(other, argument.tensor);
  CHECK(chip.builder.build_at_once(task, entry, TROUPE_CHIP_AIV0) == nullptr);
  CHECK_FALSE(chip.builder.take_refusal());
}

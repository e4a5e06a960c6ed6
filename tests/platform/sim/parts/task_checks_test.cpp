#include <doctest/doctest.h>

#include "parts/chip_parts.hpp"

using namespace troupe;
using namespace troupe::platform::sim;
using runtime::Tag;
using test::ChipParts;

namespace {

/// An intermediate that was written, and a task that reads it and is running.
struct Reader {
  explicit Reader(ChipParts& chip, bool somebody_unordered = false) {
    const auto wanted = runtime::Tensor::unallocated({8}, runtime::DType::i32);
    chip.submit_new({{wanted, Tag::out, TROUPE_CHIP_ALLOCATE}});
    made = unpack(chip.packed[0].tensor);
    if (somebody_unordered) chip.submit_new({{made, Tag::no_dep}}, kinds::lone_aiv);
    task = chip.submit(chip.build(chip.kernel("reads"), {{made, Tag::in}}), kinds::short_aiv);
    REQUIRE(chip.schedule.take(batch, Appetite::all, true));
    if (batch.tasks[0]->kind == kinds::lone_aiv) {
      chip.schedule.end_batch(batch, true);
      REQUIRE(batch.count == 0);
      chip.schedule.cores().give_back(batch.cluster, batch.lane);
      REQUIRE(chip.schedule.take(batch, Appetite::all, true));
    }
    chip.schedule.end_batch(batch, true);
    REQUIRE(batch.count == 1);
    REQUIRE(batch.tasks[0] == task);
  }
  std::int32_t* elements() const { return reinterpret_cast<std::int32_t*>(task->tensors[0].address); }

  Batch batch;
  runtime::Tensor made;
  TaskRecord* task;
};

}  // namespace

TEST_CASE("a task that writes what it may only read fails") {
  ChipParts chip(true);
  chip.begin();
  const Reader reader(chip);
  reader.elements()[3] = 1;
  chip.checks.end(*reader.task);
  REQUIRE(reader.task->failure != nullptr);
  CHECK(reader.task->failure->message().find("'reads'") != std::string::npos);
}

TEST_CASE("a task that leaves its inputs alone does not fail, nor one whose input is not ordered") {
  ChipParts chip(true);
  chip.begin();
  const Reader good(chip);
  chip.checks.end(*good.task);
  CHECK(good.task->failure == nullptr);

  const Reader unordered(chip, true);
  unordered.elements()[3] = 1;
  chip.checks.end(*unordered.task);
  CHECK(unordered.task->failure == nullptr);
}

TEST_CASE("a write next to a task's memory names every kernel that may have done it") {
  ChipParts chip(true);
  chip.begin();
  const Reader one(chip);
  TaskRecord* other = chip.submit(chip.build(chip.kernel("also reads"), {{one.made, Tag::in}}), kinds::aiv);
  Batch batch;
  REQUIRE(chip.schedule.take(batch, Appetite::all, true));
  REQUIRE(batch.tasks[0] == other);
  one.elements()[8] = 1;
  chip.checks.end(*one.task);
  REQUIRE(one.task->failure != nullptr);
  CHECK(one.task->failure->message().find("kernel 'reads', or kernel 'also reads', wrote past the end") !=
        std::string::npos);
}

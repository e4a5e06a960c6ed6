#include <doctest/doctest.h>

#include <future>

#include "parts/chip_parts.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::platform::sim;
using test::ChipParts;

namespace {

void leave(TaskRecord& task, const std::int32_t& flag) {
  task.deferred = std::make_unique<std::vector<FlagCondition>>();
  task.deferred->push_back({.flag = &flag, .value = 1, .place = FlagPlace::memory(&flag)});
}

}  // namespace

TEST_CASE("a task that has left nothing any more is over") {
  ChipParts chip;
  chip.begin();
  TaskRecord* task = chip.submit_new({});
  const std::int32_t flag = 1;
  leave(*task, flag);
  CHECK_FALSE(chip.deferrals.start(*task));
  CHECK(task->failure == nullptr);
  CHECK(chip.whereabouts.executing == 0);
}

TEST_CASE("a thread waits for what a task has left, and says when it is completed") {
  ChipParts chip;
  std::promise<Deferrals::Deferral*> over;
  chip.when_over = [&](Deferrals::Deferral& deferral) { over.set_value(&deferral); };
  chip.begin();
  TaskRecord* task = chip.submit_new({});
  std::int32_t flag = 0;
  leave(*task, flag);
  REQUIRE(chip.deferrals.start(*task));
  CHECK(chip.whereabouts.executing == 1);
  chip.kernels.notify(&flag, TROUPE_FLAG_I32, TROUPE_NOTIFY_SET, 1);
  CHECK(&chip.deferrals.end(*over.get_future().get()) == task);
  CHECK(chip.whereabouts.executing == 0);
  CHECK(task->deferred == nullptr);
  CHECK(task->failure == nullptr);
  int slots = 0;
  chip.deferrals.for_each_slot([&](const CoreSlot& slot) { slots += slot.waits() ? 10 : 1; });
  CHECK(slots == 1);
}

TEST_CASE("without a thread a task that defers fails, and says so") {
  troupe_host table{};
  table.abi_version = TROUPE_DEVICE_ABI_VERSION;
  table.size = sizeof table;
  table.start_thread = [](void*, const char*, void (*)(void*), void*) { return std::int32_t{1}; };
  ChipParts chip(false, &table);
  chip.begin();
  TaskRecord* task = chip.submit_new({});
  const std::int32_t flag = 0;
  leave(*task, flag);
  CHECK_FALSE(chip.deferrals.start(*task));
  REQUIRE(task->failure != nullptr);
  CHECK(*task->failure == platform::Errc::system);
  CHECK(task->failure->message().find("'k' left something to be completed later") == 0);
  CHECK(chip.whereabouts.executing == 0);
}

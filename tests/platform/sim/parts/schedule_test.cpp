#include <doctest/doctest.h>

#include "parts/chip_parts.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::platform::sim;
using runtime::Tag;
using test::ChipParts;

TEST_CASE("a chain stays on the thread and the core that it is on") {
  ChipParts chip;
  const auto a = test::vector_in(chip.memory, 8);
  chip.begin({a});
  const TaskRecord* first = chip.submit_new({{a, Tag::inout}});
  const TaskRecord* second = chip.submit_new({{a, Tag::inout}});
  Batch batch;
  REQUIRE(chip.schedule.take(batch, Appetite::all, true));
  CHECK(batch.count == 1);
  CHECK(batch.tasks[0] == first);
  CHECK(chip.schedule.cores().free_aivs() == 3);
  CHECK_FALSE(chip.schedule.can_take(true));
  chip.schedule.end_batch(batch, true);
  REQUIRE(batch.count == 1);
  CHECK(batch.tasks[0] == second);
  chip.schedule.end_batch(batch, true);
  CHECK(batch.count == 0);
  CHECK(chip.schedule.kernels_run() == 2);
  CHECK(chip.schedule.is_over());
}

TEST_CASE("threads take what their appetite and the free cores allow") {
  ChipParts chip;
  chip.begin({}, false, 1);
  chip.submit_new({}, kinds::aiv);
  chip.submit_new({}, kinds::lone_aic);
  chip.submit_new({}, kinds::quick_aiv);
  Batch quick, all, lone;
  CHECK_FALSE(chip.schedule.take(all, Appetite::brief, false));
  REQUIRE(chip.schedule.take(quick, Appetite::quick, true));
  CHECK(quick.tasks[0]->kind == kinds::quick_aiv);
  REQUIRE(chip.schedule.take(lone, Appetite::all, true));
  CHECK(lone.tasks[0]->kind == kinds::lone_aic);
  REQUIRE(chip.schedule.take(all, Appetite::all, true));
  CHECK(all.tasks[0]->kind == kinds::aiv);
  chip.submit_new({}, kinds::aiv);
  Batch more;
  CHECK_FALSE(chip.schedule.can_take(true));
  CHECK_FALSE(chip.schedule.take(more, Appetite::all, true));
  chip.schedule.cores().give_back(quick.cluster, quick.lane);
  CHECK(chip.schedule.take(more, Appetite::all, true));
}

TEST_CASE("quick tasks are taken many at a time, and go back when the one that runs sleeps") {
  ChipParts chip;
  chip.begin();
  std::vector<TaskRecord*> tasks;
  for (int i = 0; i < 5; ++i) tasks.push_back(chip.submit_new({}, kinds::quick_aiv));
  Batch batch;
  REQUIRE(chip.schedule.take(batch, Appetite::quick, true));
  REQUIRE(batch.count == 5);
  batch.at = 2;
  batch.works = true;
  chip.whereabouts.working = 1;
  chip.schedule.split(batch);
  CHECK(batch.count == 3);
  CHECK(batch.at == 2);
  CHECK(batch.task(2) == tasks[2]);
  CHECK(chip.whereabouts.working == 0);
  CHECK(chip.schedule.kernels_run() == 2);
  Batch others;
  REQUIRE(chip.schedule.take(others, Appetite::quick, true));
  CHECK(others.count == 2);
}

TEST_CASE(
    "who holds the baton ends what lies done on a tray and lays on what is ready, as many as are its share") {
  ChipParts chip;
  chip.begin();
  KernelEntry& kernel = chip.kernel("short");
  kernel.usual_ticks = ticks_per_microsecond() * 4;
  std::vector<TaskRecord*> tasks;
  for (int i = 0; i < 12; ++i) tasks.push_back(chip.submit(chip.build(kernel, {}), kinds::short_aiv));
  Batch tray, own;
  chip.schedule.open(tray);
  chip.schedule.open(own);
  REQUIRE(chip.schedule.take(tray, Appetite::all, true));
  REQUIRE(chip.schedule.take(own, Appetite::all, true));
  CHECK(tray.count == 1);
  chip.schedule.tend(&own);
  CHECK(tray.count == 1);  // it is none yet
  tray.is_tray = own.is_tray = true;
  tray.works = own.works = true;
  chip.schedule.tend(&own);
  REQUIRE(tray.count == 5);  // as many as its time, which is less than the half of what is ready
  CHECK(tray.task(1) == tasks[2]);
  CHECK(own.count == 1);
  CHECK(chip.schedule.kernels_run() == 0);
  tray.at = 2;
  chip.schedule.tend(&own);
  CHECK(tray.ended == 2);
  CHECK(chip.schedule.kernels_run() == 2);
  CHECK(tray.count == 6);  // the half of what is left
  SUBCASE("its thread ends the others") {
    tray.at = 6;
    chip.schedule.end_batch(tray, false);
    CHECK(chip.schedule.kernels_run() == 6);
    CHECK(chip.schedule.graph().live() == 6);
  }
  SUBCASE("when one of them sleeps, what lies behind goes back, and nothing is laid behind it") {
    tray.at = 3;
    chip.whereabouts.working = 1;
    chip.schedule.split(tray);
    CHECK(tray.count == 4);
    chip.schedule.tend(&own);
    CHECK(tray.count == 4);
    CHECK(chip.schedule.graph().ready_count(kinds::short_aiv) == 7);
  }
  SUBCASE("all of it may be over before its thread comes") {
    while (tray.at != tray.count) {
      tray.at = tray.count.load();
      chip.schedule.tend(&own);
    }
    CHECK(tray.ended == tray.count);
    chip.schedule.end_batch(tray, true);
    CHECK(tray.is_empty());
    CHECK(chip.schedule.kernels_run() == 11);
    CHECK(chip.schedule.graph().live() == 1);
  }
}

TEST_CASE("blocks that start together wait for all of their cores, and nothing slow starts before them") {
  ChipParts chip;
  chip.begin({}, false, 1);
  chip.submit_new({}, kinds::aiv);
  Batch busy;
  REQUIRE(chip.schedule.take(busy, Appetite::all, true));
  TaskRecord* set = chip.build(chip.kernel("blocks"), {}, 2);
  set->sync_start = true;
  chip.submit(set, kinds::set);
  CHECK(Schedule::pieces_to_start(*set) == 2);
  CHECK(chip.schedule.next_set() == nullptr);
  chip.submit_new({}, kinds::aiv);
  Batch later;
  CHECK_FALSE(chip.schedule.take(later, Appetite::all, true));
  CHECK_FALSE(chip.schedule.can_take(true));
  chip.schedule.end_batch(busy, false);
  chip.schedule.cores().give_back(busy.cluster, busy.lane);

  REQUIRE(chip.schedule.next_set() == set);
  std::vector<Piece> pieces;
  chip.schedule.start_blocks(*set, pieces);
  REQUIRE(pieces.size() == 2);
  CHECK(pieces[0].core() != pieces[1].core());
  CHECK(chip.schedule.cores().free_aivs() == 0);
  chip.schedule.end_piece(pieces[1]);
  CHECK_FALSE(chip.schedule.is_over());
  CHECK(chip.schedule.take(later, Appetite::all, true));
  chip.schedule.end_piece(pieces[0]);
  CHECK(chip.schedule.graph().live() == 1);
}

TEST_CASE("after the first failure nothing starts any more, and a later failure changes nothing") {
  ChipParts chip;
  const auto a = test::vector_in(chip.memory, 8);
  chip.begin({a});
  TaskRecord* fails = chip.submit_new({{a, Tag::inout}});
  chip.submit_new({{a, Tag::inout}});
  chip.submit_new({}, kinds::set);
  CHECK(chip.schedule.failure_code() == 0);
  Batch batch;
  REQUIRE(chip.schedule.take(batch, Appetite::all, true));
  fails->failure = std::make_unique<Error>(platform::Errc::kernel_failed, "the first");
  chip.schedule.end_batch(batch, true);
  CHECK(batch.count == 0);
  CHECK(chip.schedule.failure_code() == static_cast<std::int32_t>(platform::Errc::kernel_failed));
  CHECK_FALSE(chip.schedule.can_take(true));
  CHECK(chip.schedule.next_set() == nullptr);
  CHECK(chip.schedule.is_over());
  chip.schedule.fail(Error(platform::Errc::aborted, "the second"));
  REQUIRE(chip.schedule.failure());
  CHECK(chip.schedule.failure()->message() == "the first");
}

TEST_CASE("an abort while the program's thread is alone is announced, and is the failure when it looks") {
  ChipParts chip;
  chip.begin();
  chip.whereabouts.alone = true;
  chip.schedule.abort();
  CHECK(chip.schedule.failure_code() == static_cast<std::int32_t>(platform::Errc::aborted));
  CHECK_FALSE(chip.schedule.failure());
  chip.schedule.join();
  CHECK_FALSE(chip.whereabouts.alone);
  REQUIRE(chip.schedule.failure());
  CHECK(*chip.schedule.failure() == platform::Errc::aborted);
  chip.schedule.end_run();
  chip.begin();
  CHECK(chip.schedule.failure_code() == 0);
  CHECK_FALSE(chip.schedule.failure());
}

TEST_CASE("with edges by hand tasks are held, and their bytes are settled when they have ended") {
  ChipParts chip;
  const auto a = test::vector_in(chip.memory, 8);
  chip.begin({a}, true);
  TaskRecord* task = chip.build(chip.kernel("k"), {{a, Tag::out_existing}});
  chip.submit(task, kinds::short_aiv, 1);
  chip.schedule.hold(*task);
  CHECK(chip.schedule.holds_any());
  const auto element = runtime::Access::range(a.buffer(), a.buffer_bytes(), 4, 8, Tag::in);
  CHECK_FALSE(chip.schedule.is_settled(element, true).value());
  Batch batch;
  CHECK_FALSE(chip.schedule.take(batch, Appetite::all, true));
  chip.schedule.release_held();
  REQUIRE(chip.schedule.take(batch, Appetite::all, true));
  chip.schedule.end_batch(batch, true);
  CHECK(chip.schedule.is_settled(element, true).value());
}

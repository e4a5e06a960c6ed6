// The table of a worker's executors: what they are called, which life they are in, what becomes of the dead.
#include "worker/children.hpp"

#include <doctest/doctest.h>

#include "troupe/actors/errc.hpp"

using namespace troupe::actors;
using namespace std::chrono_literals;
using troupe::Error;

namespace {

const Error crash(Errc::chip_lost, "crashed");

struct Bench {
  Children children;
  Children::Time now{};
  explicit Bench(std::vector<ExecutorConfig> configs, RestartLimit limit = {2, 10s})
      : children("node0", limit) {
    for (const auto& config : configs) children.add(config);
  }
  /// Of a sub-worker, which leaves nothing behind.
  Children::Fate die(std::int32_t index) {
    children.lost(index, crash);
    auto fate = children.bury(index, now);
    REQUIRE(fate);
    return *fate;
  }
};

ExecutorConfig node(std::string name) {
  WorkerConfig config;
  config.name = std::move(name);
  config.max_runs = 3;
  return std::make_shared<const WorkerConfig>(std::move(config));
}

}  // namespace

TEST_CASE("executors are numbered in the order they came, and sub-workers are counted apart") {
  Bench bench({ChipConfig{.credit = 7}, SubWorkerConfig{}, node("node4"), SubWorkerConfig{}});
  CHECK(*bench.children.names() == std::vector<std::string>{"chip0", "sub0", "node4", "sub1"});
  CHECK(bench.children[0].credit == 7);
  CHECK(bench.children[2].credit == 3);
  CHECK(bench.children[2].kind == ExecutorKind::worker);
  CHECK(bench.children.counted() == " with 1 chip, 1 node, 2 sub-workers");
  CHECK(bench.children.add(ChipConfig{}) == 4);
  CHECK(bench.children.names()->back() == "chip4");
  CHECK_FALSE(bench.children.knows(5));
  CHECK_FALSE(bench.children.knows(-1));
}

TEST_CASE("all are up when the last one is") {
  Bench bench({ChipConfig{}, SubWorkerConfig{}});
  bench.children.up(1, 4);
  CHECK_FALSE(bench.children.all_up());
  bench.children.up(0, 9);
  CHECK(bench.children.all_up());
  CHECK(bench.children[0].credit == 9);
}

TEST_CASE("what is heard of an earlier life does not count") {
  Bench bench({ChipConfig{}});
  CHECK(bench.children.is_starting(0, 0));
  bench.children.up(0, 1);
  CHECK_FALSE(bench.children.is_starting(0, 0));
  CHECK(bench.children.reset(0) == 1);
  CHECK(bench.children.is_starting(0, 1));
  CHECK_FALSE(bench.children.is_starting(0, 0));
}

TEST_CASE("a chip is used when it is up, and says why not otherwise") {
  Bench bench({ChipConfig{}, SubWorkerConfig{}});
  CHECK(bench.children.chip(0).error() == Errc::chip_lost);
  CHECK(bench.children.chip(0).error().message() == "chip0 is starting");
  bench.children.up(0, 1);
  CHECK(bench.children.chip(0).value().incarnation == 0);
  for (const std::int32_t index : {-1, 1, 2}) {
    CHECK(bench.children.chip(index).error() == Errc::no_such_chip);
  }
}

TEST_CASE("the fate of a chip is not decided before its last word") {
  Bench bench({ChipConfig{}});
  bench.children.up(0, 1);
  bench.children.lost(0, crash);
  CHECK(bench.children[0].state == ExecutorState::lost);
  CHECK_FALSE(bench.children.bury(0, bench.now));
  // A last word is of an actor, and this child has none: it is somebody else's.
  CHECK_FALSE(bench.children.note_last_word(0, 17));
  CHECK_FALSE(bench.children.bury(0, bench.now));
}

TEST_CASE("a child that died begins its next life, but not without end") {
  Bench bench({SubWorkerConfig{}, ChipConfig{}});
  bench.children.up(0, 1);
  for (std::uint32_t life = 1; life <= 2; ++life) {
    const auto fate = bench.die(0);
    CHECK(fate.died.message() == "crashed");
    CHECK_FALSE(fate.out_of_use);
    CHECK(bench.children[0].incarnation == life);
    CHECK_FALSE(bench.children.bury(0, bench.now));
  }
  const auto fate = bench.die(0);
  REQUIRE(fate.out_of_use);
  CHECK(*fate.out_of_use == Errc::chip_retired);
  CHECK(fate.out_of_use->message() == "sub0 died 3 times in a short while and is out of use");
  CHECK(bench.children[0].incarnation == 2);
}

TEST_CASE("deaths of long ago are forgotten") {
  Bench bench({SubWorkerConfig{}});
  for (int death = 0; death < 6; ++death) {
    CHECK_FALSE(bench.die(0).out_of_use);
    bench.now += 6s;
  }
}

TEST_CASE("who is sent away goes once, and is not restarted when it dies on the way") {
  Bench bench({SubWorkerConfig{}});
  CHECK_FALSE(bench.children.is_leaving(0));
  CHECK(bench.children.remove(0));
  CHECK(bench.children.is_leaving(0));
  CHECK(bench.children.remove(0).error() == Errc::no_such_chip);
  CHECK(bench.children.remove(1).error().message() == "there is no executor number 1");
  const auto fate = bench.die(0);
  REQUIRE(fate.out_of_use);
  CHECK(fate.out_of_use->message() == "crashed");
  bench.children.retire(0);
  CHECK_FALSE(bench.children.is_leaving(0));
}

TEST_CASE("the last chip is the last to work with, unless it was sent away") {
  Bench bench({ChipConfig{}, ChipConfig{}, SubWorkerConfig{}});
  bench.children.retire(2);
  CHECK_FALSE(bench.children.was_last(2));
  bench.children.retire(0);
  CHECK_FALSE(bench.children.was_last(0));
  SUBCASE("it died") {
    bench.children.retire(1);
    CHECK(bench.children.was_last(1));
  }
  SUBCASE("it was removed") {
    CHECK(bench.children.remove(1));
    bench.children.retire(1);
    CHECK_FALSE(bench.children.was_last(1));
  }
}

TEST_CASE("a run needs no placement where there is one chip only") {
  Bench bench({SubWorkerConfig{}, ChipConfig{}, ChipConfig{}});
  CHECK(bench.children.only_chip() == -1);
  bench.children.retire(1);
  CHECK(bench.children.only_chip() == 2);
  bench.children.retire(2);
  CHECK(bench.children.only_chip() == -1);
}

TEST_CASE("a start that failed names the child at fault and those that were not up yet") {
  Bench bench({ChipConfig{}, ChipConfig{}, ChipConfig{}, SubWorkerConfig{}});
  bench.children.up(0, 1);
  const auto error = bench.children.not_started(1, Error(Errc::bad_argument, "no such device", "try 0"));
  CHECK(error == Errc::bootstrap_failed);
  CHECK(error.message().find("chip 1 bootstrap failed: no such device") != std::string::npos);
  CHECK(error.hint() == "still pending: chip2");
  CHECK(error.path() == "node0");
  bench.children.up(2, 1);
  CHECK(bench.children.not_started(1, Error(Errc::bad_argument, "no such device", "try 0")).hint() ==
        "try 0");
}

#include "placement/placement.hpp"

#include <doctest/doctest.h>

#include <random>

#include "support/random.hpp"
#include "troupe/actors/errc.hpp"

using namespace troupe::actors;
using troupe::Error;

namespace {

const Callable kernel{"kernel", CallableKind::chip, nullptr, nullptr, {}, CoreKind::vector, nullptr, nullptr};

TaskRequest task(RunId run, TaskNumber number, std::int32_t executor = -1,
                 std::vector<TaskNumber> depends = {}) {
  TaskRequest request;
  request.key = {run, number, 0, 0};
  request.body = std::make_shared<TaskBody>();
  request.body->callable = &kernel;
  request.executor = executor;
  request.depends = std::move(depends);
  return request;
}

TaskRequest group(RunId run, TaskNumber number, std::size_t members, std::vector<int> chips = {}) {
  auto request = task(run, number);
  request.members = static_cast<std::uint32_t>(members);
  request.body->extras = std::make_shared<SubmitExtras>();
  request.body->extras->members.resize(members);
  request.body->extras->chips = std::move(chips);
  return request;
}

struct Bench {
  Placement placement;
  explicit Bench(int chips, std::uint32_t credit) {
    for (int i = 0; i < chips; ++i) {
      placement.add(ExecutorKind::chip, "chip" + std::to_string(i), credit);
      placement.up(i, credit);
    }
    placement.open(1, 0);
    placement.open(2, 0);
  }
  void take(std::vector<TaskRequest> requests, RunId run = 1) {
    Ready ready{run, true, std::move(requests)};
    placement.take(ready);
  }
  /// What left, as "executor:task executor:task …".
  std::string place(std::vector<TaskResult>* refused = nullptr) {
    auto moves = placement.place();
    std::string text;
    for (auto& send : moves.sends) {
      for (auto& request : send.requests) {
        text += (text.empty() ? "" : " ") + std::to_string(send.executor) + ":" +
                std::to_string(request.key.task);
        out.push_back(request);
      }
    }
    if (refused != nullptr) *refused = std::move(moves.refused);
    return text;
  }
  std::size_t end(TaskNumber number, Outcome outcome = Outcome::done) {
    std::size_t counted = 0;
    for (auto it = out.begin(); it != out.end();) {
      if (it->key.task != number) {
        ++it;
        continue;
      }
      Results results{it->executor, 0, {{it->key, it->ticket, -1, outcome, std::nullopt}}};
      counted += placement.results(results).size();
      it = out.erase(it);
    }
    return counted;
  }
  std::vector<TaskRequest> out;
};

}  // namespace

TEST_CASE("placement spreads tasks over executors with credit and keeps the rest") {
  Bench bench(2, 1);
  bench.take({task(1, 1), task(1, 2), task(1, 3)});
  CHECK(bench.place() == "0:1 1:2");
  CHECK(bench.place().empty());
  CHECK(bench.placement.why(1, 3) == "waits for any executor with credit");
  CHECK(bench.end(2) == 1);
  CHECK(bench.place() == "1:3");
}

TEST_CASE("placement sends nothing to an executor that is suspended, also with a policy") {
  for (const bool policy : {false, true}) {
    Bench bench(2, 2);
    if (policy) bench.placement.use([](const auto&, auto chips) { return chips.size() - 1; });
    bench.placement.suspend(1);
    bench.take({task(1, 1), task(1, 2), task(1, 3)});
    CHECK(bench.place() == "0:1 0:2");
    bench.placement.up(1, 2);
    CHECK(bench.place() == "1:3");
  }
}

TEST_CASE(
    "placement: whatever happens to executors, what may go anywhere goes where there is room, at once") {
  constexpr std::size_t chips = 5;
  const auto first = troupe::test::first_seed();
  for (std::uint64_t seed = first; seed < first + troupe::test::seeds(300); ++seed) {
    CAPTURE(seed);
    std::mt19937_64 random(seed);
    const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
    const auto credit = static_cast<std::uint32_t>(1 + below(3));
    Bench bench(chips, credit);
    std::vector<bool> up(chips, true), closing(chips);
    TaskNumber last = 0;
    std::size_t waiting = 0;
    for (int step = 0; step < 200; ++step) {
      const auto chip = below(chips);
      const auto lane = static_cast<std::int32_t>(chip);
      switch (below(8)) {
        case 0:
          bench.placement.suspend(lane);
          up[chip] = false;
          break;
        case 1:
          if (up[chip]) break;
          bench.placement.up(lane, credit);
          up[chip] = true;
          break;
        case 2:
          (void)bench.placement.down(lane, Error(Errc::chip_lost, "gone"));
          std::erase_if(bench.out, [&](const TaskRequest& it) { return it.executor == lane; });
          up[chip] = false;
          break;
        case 3:
          if (below(20) != 0) break;
          bench.placement.close_lane(lane);
          closing[chip] = true;
          break;
        case 4:
        case 5:
          if (!bench.out.empty()) bench.end(bench.out[below(bench.out.size())].key.task);
          break;
        default:
          bench.take({task(1, ++last)});
          ++waiting;
          break;
      }
      const auto before = bench.out.size();
      (void)bench.place();
      waiting -= bench.out.size() - before;
      for (std::size_t i = before; i < bench.out.size(); ++i) {
        const auto to = static_cast<std::size_t>(bench.out[i].executor);
        CHECK(up[to]);
        CHECK_FALSE(closing[to]);
      }
      for (std::size_t i = 0; i < chips; ++i) {
        const auto there = bench.placement.out(static_cast<std::int32_t>(i));
        CHECK(there <= credit);
        if (up[i] && !closing[i] && there < credit) CHECK(waiting == 0);
      }
    }
  }
}

TEST_CASE("placement keeps the order of what is bound to an executor") {
  Bench bench(2, 2);
  bench.take({task(1, 1, 0), task(1, 2, 0, {1}), task(1, 3, 0, {2}), task(1, 4, 0)});
  CHECK(bench.place() == "0:1 0:2");
  bench.end(1);
  CHECK(bench.place() == "0:3");
  bench.end(2);
  CHECK(bench.place() == "0:4");
}

TEST_CASE(
    "placement: what is bound to an executor goes by priority, but passes neither its producers nor a "
    "group") {
  Bench bench(2, 1);
  bench.placement.open(3, 2);
  auto urgent = [](RunId run, TaskNumber number, std::vector<TaskNumber> depends = {}) {
    auto request = task(run, number, 0, std::move(depends));
    request.priority = 5;
    return request;
  };
  bench.take({task(1, 1, 0), task(1, 2, 0), task(1, 3, 0), urgent(1, 4), urgent(1, 5, {2})});
  bench.take({urgent(2, 6)}, 2);   // as urgent: as they came
  bench.take({task(3, 7, 0)}, 3);  // of a run that goes before all others
  bench.take({group(1, 8, 2), urgent(1, 9)});
  std::string order;
  for (auto next = bench.place(); !next.empty(); next = bench.place()) {
    order += (order.empty() ? "" : " ") + next;
    const auto numbers = bench.out;
    for (const auto& request : numbers) bench.end(request.key.task);
  }
  CHECK(order == "0:7 0:4 0:1 0:2 0:5 0:6 0:3 1:8 0:8 0:9");
}

TEST_CASE("placement skips what followed a failure, all along the line, and nothing else") {
  Bench bench(1, 1);
  bench.take({task(1, 1, 0), task(1, 2, 0, {1}), task(1, 3, 0, {2}), task(1, 4, 0)});
  CHECK(bench.place() == "0:1");
  bench.end(1, Outcome::failed);
  std::vector<TaskResult> refused;
  CHECK(bench.place(&refused) == "0:4");
  REQUIRE(refused.size() == 2);
  CHECK(refused[0].outcome == Outcome::skipped);
  CHECK(refused[1].key.task == 3);
}

TEST_CASE("placement starts a group when it is first everywhere, and lets nothing past it") {
  Bench bench(2, 1);
  bench.take({task(1, 1, 0), group(1, 2, 2), task(1, 3, 1)});
  CHECK(bench.place() == "0:1");  // the group waits for chip 0; task 3 waits behind it on chip 1
  CHECK(bench.placement.why(1, 2) == "waits until its whole group can start");
  bench.end(1);
  CHECK(bench.place().size() == 7);  // both members, in one go
  CHECK(bench.end(2) == 2);
  CHECK(bench.place() == "1:3");
}

TEST_CASE("two groups over the same executors cannot lock each other out") {
  Bench bench(3, 1);
  bench.take({group(1, 1, 2, {0, 1}), group(1, 2, 2, {1, 2}), group(1, 3, 3, {2, 1, 0})});
  CHECK(bench.place() == "0:1 1:1");
  bench.end(1);
  CHECK(bench.place() == "1:2 2:2");
  bench.end(2);
  CHECK(bench.place() == "2:3 1:3 0:3");
}

TEST_CASE("runs take turns") {
  Bench bench(1, 1);
  bench.take({task(1, 1), task(1, 2), task(1, 3)}, 1);
  bench.take({task(2, 11), task(2, 12)}, 2);
  std::string order;
  for (int i = 0; i < 5; ++i) {
    const auto text = bench.place();
    order += text.substr(2) + " ";
    bench.end(static_cast<TaskNumber>(std::stoi(text.substr(2))));
  }
  CHECK(order == "1 11 2 12 3 ");
}

TEST_CASE("a more urgent run goes first, and what was cancelled or closed in its turn is passed over") {
  Bench bench(1, 1);
  bench.placement.open(3, 0);
  bench.placement.open(4, 5);
  bench.take({task(1, 1), task(1, 2)}, 1);
  bench.take({task(2, 11)}, 2);
  bench.take({task(3, 21)}, 3);
  bench.take({task(4, 31)}, 4);
  CHECK(bench.place() == "0:31");
  std::vector<std::int32_t> holders;
  CHECK(bench.placement.cancel({2, 0}, holders).size() == 1);
  bench.placement.close(3);
  bench.end(31);
  CHECK(bench.place() == "0:1");
  bench.take({task(2, 12)}, 2);  // still has the place of the task that was cancelled
  bench.end(1);
  CHECK(bench.place() == "0:12");
  bench.take({task(2, 13)}, 2);
  bench.end(12);
  CHECK(bench.place() == "0:2");
  bench.end(2);
  CHECK(bench.place() == "0:13");
  bench.end(13);
  CHECK(bench.place().empty());
}

TEST_CASE("an executor that dies answers what it had and takes up what waits when it comes back") {
  Bench bench(1, 2);
  bench.take({task(1, 1), task(1, 2, 0), task(1, 3, 0)});
  bench.place();
  const auto lost = bench.placement.down(0, Error(Errc::chip_lost, "gone"));
  REQUIRE(lost.size() == 2);
  CHECK(lost[0].outcome == Outcome::lost);
  CHECK(bench.place().empty());
  // A late answer of its earlier life counts for nothing.
  CHECK(bench.end(2) == 0);
  bench.placement.up(0, 2);
  CHECK_FALSE(bench.place().empty());
}

TEST_CASE("a retired executor answers its groups once per member and frees the others") {
  Bench bench(2, 1);
  bench.take({task(1, 1, 0), group(1, 2, 2), task(1, 3, 1)});
  bench.place();
  const auto answers = bench.placement.retire(0, Error(Errc::chip_retired, "out of use"));
  CHECK(answers.size() == 3);  // task 1 and both members
  CHECK(bench.place() == "1:3");
  std::vector<TaskResult> refused;
  bench.take({group(1, 4, 2), task(1, 5, 0)});
  bench.place(&refused);
  REQUIRE(refused.size() == 3);
  CHECK(*refused[0].error == Errc::group_too_large);
  CHECK(*refused[2].error == Errc::chip_retired);
}

TEST_CASE("cancel takes back what has not left and names who has the rest") {
  Bench bench(2, 1);
  bench.take({task(1, 1), task(1, 2)});
  bench.place();
  bench.take({task(1, 3), group(1, 4, 2)});
  bench.take({task(2, 9)}, 2);
  CHECK(bench.place().empty());
  std::vector<std::int32_t> holders;
  const auto back = bench.placement.cancel({1, 0}, holders);
  CHECK(holders.size() == 2);
  CHECK(back.size() == 3);  // task 3 and two members
  bench.end(1);
  CHECK(bench.place().find(":9") != std::string::npos);
}

TEST_CASE("what follows a task that was just skipped here is skipped, too, before anybody was told") {
  Bench bench(1, 1);
  bench.take({task(1, 1, 0), task(1, 2, 0, {1})});
  CHECK(bench.place() == "0:1");
  (void)bench.placement.down(0, Error(Errc::chip_lost, "reset"));  // 1 is lost, 2 skipped
  bench.placement.up(0, 1);
  bench.take({task(1, 1, 0), task(1, 3, 0, {1, 2})});  // 1 again, and what has to come after 2
  std::vector<TaskResult> refused;
  CHECK(bench.place(&refused) == "0:1");
  REQUIRE(refused.size() == 2);
  CHECK(refused[0].key.task == 2);
  CHECK(refused[1].key.task == 3);
  CHECK(refused[1].outcome == Outcome::skipped);
}

TEST_CASE("what followed a task in the queue of an executor that dies is skipped, the rest waits for it") {
  Bench bench(1, 1);
  bench.take({task(1, 1, 0), task(1, 2, 0, {1}), task(1, 3, 0, {2}), task(1, 4, 0)});
  CHECK(bench.place() == "0:1");
  const auto lost = bench.placement.down(0, Error(Errc::chip_lost, "gone"));
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].key.task == 1);
  std::vector<TaskResult> refused;
  CHECK(bench.place(&refused).empty());
  REQUIRE(refused.size() == 2);
  CHECK(refused[0].outcome == Outcome::skipped);
  CHECK(refused[1].key.task == 3);
  bench.placement.up(0, 1);
  CHECK(bench.place() == "0:4");
}

TEST_CASE("the end of the last executor of a kind is the answer to what could have gone anywhere") {
  Bench bench(2, 1);
  bench.take({task(1, 1), task(1, 2), task(1, 3)});
  CHECK(bench.place() == "0:1 1:2");
  CHECK(bench.placement.retire(0, Error(Errc::chip_retired, "out")).size() == 1);
  const auto last = bench.placement.retire(1, Error(Errc::chip_retired, "out"));
  REQUIRE(last.size() == 2);
  CHECK(last[1].key.task == 3);
  CHECK(last[1].outcome == Outcome::failed);
  bench.take({task(1, 4)});
  std::vector<TaskResult> refused;
  bench.place(&refused);
  REQUIRE(refused.size() == 1);
  CHECK(*refused[0].error == Errc::chip_retired);
}

TEST_CASE("higher priority goes first among what waits for any executor") {
  Bench bench(2, 1);
  auto urgent = task(1, 4);
  urgent.priority = 5;
  bench.take({task(1, 1), task(1, 2), task(1, 3), urgent});
  CHECK(bench.place() == "0:4 1:1");
}

TEST_CASE(
    "among what comes together for one executor the urgent go first, also where there is room for all") {
  Bench bench(1, 4);
  auto urgent = task(1, 3, 0);
  urgent.priority = 5;
  bench.take({task(1, 1, 0), task(1, 2, 0), urgent});
  CHECK(bench.place() == "0:3 0:1 0:2");
  bench.take({task(1, 4, 0), task(1, 5, 0)});
  CHECK(bench.place() == "0:4");
}

TEST_CASE("what was to follow a failure that its run does not know of yet is skipped, also by a new life") {
  Bench bench(1, 4);
  bench.take({task(1, 1, 0)});
  CHECK(bench.place() == "0:1");
  bench.placement.told(1, bench.placement.down(0, Error(Errc::chip_lost, "gone")));
  bench.placement.up(0, 4);
  // Sent before the run heard of it.
  std::vector<TaskResult> refused;
  bench.take({task(1, 2, 0, {1}), task(1, 3, 0, {2}), task(1, 4, 0)});
  CHECK(bench.place(&refused) == "0:4");
  REQUIRE(refused.size() == 2);
  CHECK(refused[1].key.task == 3);
  bench.placement.told(1, refused);
  // Sent with that knowledge: it follows the next attempt.
  Ready informed{1, false, {task(1, 2, 0, {1})}, 3};
  bench.placement.take(informed);
  CHECK(bench.place() == "0:2");
}

TEST_CASE("of executors that were lost together the first that is back leaves the others their part") {
  Bench bench(4, 64);
  for (int chip = 0; chip < 4; ++chip) {
    (void)bench.placement.down(chip, Error(Errc::chip_lost, "gone"));
    bench.placement.expect_back(chip, true);
  }
  std::vector<TaskRequest> tasks;
  for (TaskNumber number = 1; number <= 40; ++number) tasks.push_back(task(1, number));
  bench.take(std::move(tasks));
  CHECK(bench.place().empty());
  bench.placement.up(2, 64);
  (void)bench.place();
  CHECK(bench.placement.out(2) == 10);
  // As they end it gets more, of what is left then.
  for (TaskNumber number = 1; number <= 4; ++number) CHECK(bench.end(number) == 1);
  (void)bench.place();
  CHECK(bench.placement.out(2) == 9);
  bench.placement.up(0, 64);
  bench.placement.up(3, 64);
  (void)bench.place();
  for (const int chip : {0, 2, 3}) CHECK(bench.placement.out(chip) == 9);
  SUBCASE("the last one comes, too") { bench.placement.up(1, 64); }
  SUBCASE("the last one stays away for long") { bench.placement.expect_back(1, false); }
  SUBCASE("the last one does not come back") {
    (void)bench.placement.retire(1, Error(Errc::chip_retired, "away for ever"));
  }
  (void)bench.place();
  std::size_t out = 0;
  for (int chip = 0; chip < 4; ++chip) out += bench.placement.out(chip);
  CHECK(out == 36);
}

TEST_CASE("an executor that waits for others to be back is not idle when only one task is left") {
  Bench bench(2, 8);
  (void)bench.placement.down(1, Error(Errc::chip_lost, "gone"));
  bench.placement.expect_back(1, true);
  bench.take({task(1, 1), task(1, 2), task(1, 3)});
  CHECK(bench.place() == "0:1 0:2");
  CHECK(bench.end(1) == 1);
  CHECK(bench.place().empty());
  CHECK(bench.end(2) == 1);
  CHECK(bench.place() == "0:3");
}

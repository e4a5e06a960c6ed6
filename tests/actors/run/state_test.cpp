#include "run/state.hpp"
#include "tasks.hpp"

#include <doctest/doctest.h>

#include "troupe/actors/errc.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe::actors;
using namespace troupe;

namespace {

const Callable kernel{"kernel", CallableKind::chip, nullptr, nullptr, {}, CoreKind::vector, nullptr, nullptr};

struct Bench {
  explicit Bench(int chips = 1) {
    RunConfig config;
    config.id = 7;
    config.name = "test";
    config.node = "node0";
    config.arena_bytes = 1U << 20U;
    config.credit_step = 2;
    std::vector<std::string> names;
    for (int i = 0; i < chips; ++i) names.push_back("chip" + std::to_string(i));
    config.executors = std::make_shared<const std::vector<std::string>>(names);
    config.only_chip = chips == 1 ? 0 : -1;
    run = std::make_unique<RunState>(config);
  }
  TaskNumber submit(std::vector<Operand> tensors, std::shared_ptr<SubmitExtras> extras = {}) {
    Submission line;
    line.number = ++last;
    line.body = std::make_shared<TaskBody>(TaskBody{&kernel, {std::move(tensors), {}}, std::move(extras)});
    Submit batch;
    batch.lines.push_back(std::move(line));
    run->submit(batch);
    return last;
  }
  RunEffects& advance() {
    effects = run->advance();
    for (auto& request : effects.ready) out[request.key.task] = request;
    return effects;
  }
  void end(TaskNumber task, Outcome outcome = Outcome::done, std::optional<Error> error = {}) {
    RunResults results;
    results.results.push_back({out.at(task).key, 0, 0, outcome, std::move(error)});
    run->results(results);
  }
  void await(TaskNumber task, std::uint64_t token) {
    Await wait;
    wait.task = task;
    wait.token = token;
    run->await(wait);
  }

  std::unique_ptr<RunState> run;
  TaskNumber last = 0;
  RunEffects effects;
  std::map<TaskNumber, TaskRequest> out;
  float memory[4] = {};
  runtime::Tensor x = runtime::Tensor::host(&memory[0], {1});
  runtime::Tensor y = runtime::Tensor::host(&memory[1], {1});
  runtime::Tensor z = runtime::Tensor::host(&memory[2], {1});
};

using runtime::in;
using runtime::inout;
using runtime::out;

Error ghost() { return {Errc::function_failed, "a ghost"}; }

}  // namespace

TEST_CASE("run: with one chip a chain leaves at once, each task naming what it follows") {
  Bench bench;
  for (int i = 0; i < 3; ++i) bench.submit({inout(bench.x)});
  const auto& ready = bench.advance().ready;
  REQUIRE(ready.size() == 3);
  CHECK(ready[0].depends.empty());
  CHECK(ready[1].depends == std::vector<TaskNumber>{1});
  CHECK(ready[2].depends == std::vector<TaskNumber>{2});
  CHECK(ready[2].executor == 0);
}

TEST_CASE("run: no more goes out than keeps the executors busy, the rest stays where it can be overtaken") {
  Bench bench;
  std::vector<float> each(300);
  for (auto& one : each) bench.submit({inout(runtime::Tensor::host(&one, {1}))});
  const auto first = bench.advance().ready.size();
  CHECK(first < each.size());
  CHECK(first >= 64);
  bench.end(1);
  CHECK(bench.advance().ready.size() == 1);
}

TEST_CASE("run: with several chips a chain follows its first task when that has been placed") {
  Bench bench(2);
  for (int i = 0; i < 3; ++i) bench.submit({inout(bench.x)});
  CHECK(bench.advance().ready.size() == 1);
  CHECK(bench.effects.report);
  bench.run->placed({{{1, 1}}});
  const auto& more = bench.advance().ready;
  REQUIRE(more.size() == 2);
  CHECK(more[0].executor == 1);
  CHECK(more[1].depends == std::vector<TaskNumber>{2});
}

TEST_CASE("run: a skipped task that was not poisoned goes out again") {
  Bench bench;
  bench.submit({inout(bench.x)});  // 1
  bench.submit({inout(bench.y)});  // 2, independent
  bench.submit({in(bench.y)});     // 3 needs 2, but follows 1 in the queue too
  REQUIRE(bench.advance().ready.size() == 3);
  CHECK(bench.out[3].depends == std::vector<TaskNumber>{1, 2});
  bench.end(1, Outcome::failed, ghost());
  bench.end(2);
  bench.end(3, Outcome::skipped);
  const auto& again = bench.advance().ready;
  REQUIRE(again.size() == 1);
  CHECK(again[0].key.task == 3);
  CHECK(again[0].key.attempt == 1);
  // An answer of the attempt before counts for nothing.
  RunResults late;
  late.results.push_back({{7, 3, 0, 0}, 0, 0, Outcome::failed, ghost()});
  bench.run->results(late);
  bench.advance();
  bench.end(3);
  bench.run->program_ended({});
  REQUIRE(bench.advance().finished);
  CHECK(bench.effects.finished->completed == 2);
  CHECK(bench.effects.finished->error);
}

TEST_CASE("run: what joins a queue after a task was skipped there still follows what is left of it") {
  Bench bench;
  bench.submit({inout(bench.x)});  // 1
  bench.submit({inout(bench.y)});  // 2, independent
  bench.submit({in(bench.y)});     // 3 needs 2, but follows 1 in the queue too
  REQUIRE(bench.advance().ready.size() == 3);
  bench.end(1, Outcome::failed, ghost());
  bench.end(3, Outcome::skipped);  // at once, while 2 is still inside
  CHECK(bench.advance().ready.empty());
  bench.submit({inout(bench.z)});  // 4, independent
  bench.submit({in(bench.y)});     // 5: nothing stands between it and its producer any more
  const auto& ready = bench.advance().ready;
  REQUIRE(ready.size() == 2);
  CHECK(ready[0].key.task == 4);
  CHECK(ready[1].depends == std::vector<TaskNumber>{2, 4});
}

TEST_CASE("run: the error of a group is its cause, even when a member that was asked to end answers first") {
  Bench bench(2);
  auto extras = std::make_shared<SubmitExtras>();
  extras->members = {{{inout(bench.x)}, {}}, {{inout(bench.y)}, {}}};
  bench.submit({}, extras);
  bench.advance();
  auto member = [&](std::uint32_t number, Outcome outcome, Error error) {
    RunResults results;
    auto key = bench.out.at(1).key;
    key.member = number;
    results.results.push_back({key, 0, static_cast<std::int32_t>(number), outcome, std::move(error)});
    bench.run->results(results);
  };
  SUBCASE("the aborted one first") {
    member(0, Outcome::cancelled, Error(platform::Errc::aborted, "asked to end"));
    member(1, Outcome::failed, ghost());
  }
  SUBCASE("the cause first") {
    member(1, Outcome::failed, ghost());
    member(0, Outcome::cancelled, Error(platform::Errc::aborted, "asked to end"));
  }
  bench.run->program_ended({});
  const auto report = *bench.advance().finished;
  REQUIRE(report.error);
  CHECK(*report.error == Errc::task_failed);
  CHECK(report.error->path() == "node0/chip1");
  CHECK(report.error->root().message() == "a ghost");
}

TEST_CASE("run: awaiting a poisoned task takes over the failure behind it") {
  Bench bench;
  bench.submit({inout(bench.x)});
  bench.submit({in(bench.x), out(bench.y)});
  bench.advance();
  bench.await(2, 55);
  bench.end(1, Outcome::failed, ghost());
  bench.end(2, Outcome::skipped);
  bench.advance();
  REQUIRE(bench.effects.wakes.size() == 1);
  CHECK(bench.effects.wakes[0].token == 55);
  REQUIRE(bench.effects.wakes[0].error);
  CHECK(bench.effects.wakes[0].error->root().message() == "a ghost");
  CHECK(bench.effects.credit == 2);
  bench.run->program_ended({});
  REQUIRE(bench.advance().finished);
  CHECK_FALSE(bench.effects.finished->error);
  CHECK(bench.effects.finished->poisoned.size() == 1);
}

TEST_CASE("run: a drain hands over the first failure once") {
  Bench bench;
  bench.submit({inout(bench.x)});
  bench.submit({inout(bench.y)});
  bench.advance();
  Await drain;
  drain.what = Await::What::drained;
  drain.token = 9;
  drain.task = 2;
  bench.run->await(drain);
  bench.end(2, Outcome::failed, Error(Errc::function_failed, "second"));
  bench.advance();
  CHECK(bench.effects.wakes.empty());
  bench.end(1, Outcome::failed, ghost());
  bench.advance();
  REQUIRE(bench.effects.wakes.size() == 1);
  CHECK(bench.effects.wakes[0].error->root().message() == "second");
  bench.run->program_ended({});
  CHECK_FALSE(bench.advance().finished->error);
}

TEST_CASE("run: retry repeats a failed or lost task, then gives up") {
  Bench bench;
  auto extras = std::make_shared<SubmitExtras>();
  extras->retries = 2;
  bench.submit({out(bench.x)}, extras);
  bench.advance();
  bench.end(1, Outcome::failed, ghost());
  CHECK(bench.advance().ready.size() == 1);
  bench.end(1, Outcome::lost, Error(Errc::chip_lost, "gone"));
  CHECK(bench.advance().ready.size() == 1);
  bench.end(1, Outcome::lost, Error(Errc::chip_lost, "gone"));
  bench.run->program_ended({});
  const auto report = *bench.advance().finished;
  CHECK(report.retried == 2);
  REQUIRE(report.error);
  CHECK(*report.error == Errc::chip_lost);
  CHECK(report.error->path() == "node0/chip0");
}

TEST_CASE("run: nothing is sent after a task that may be tried again until that has ended") {
  // Both might have run when the chip dies: tried again, the first would read what the second has written.
  Bench bench;
  auto extras = std::make_shared<SubmitExtras>();
  extras->retries = 1;
  bench.submit({inout(bench.x)});                     // 1
  bench.submit({in(bench.x), out(bench.y)}, extras);  // 2
  bench.submit({inout(bench.x)});                     // 3 writes what 2 reads
  bench.submit({inout(bench.z)});                     // 4, independent
  bench.submit({in(bench.z)});                        // 5: who follows 4 does not name 2 for it
  REQUIRE(bench.advance().ready.size() == 4);
  CHECK(bench.out[2].depends == std::vector<TaskNumber>{1, 4});
  CHECK(bench.out.count(3) == 0);
  CHECK(bench.out[5].depends == std::vector<TaskNumber>{1, 4});
  bench.end(1);
  bench.end(2, Outcome::lost, Error(Errc::chip_lost, "gone"));
  // Others may follow its last attempt: if that is lost, too, the run has failed.
  REQUIRE(bench.advance().ready.size() == 2);
  CHECK(bench.effects.ready[0].key.task == 2);
  CHECK(bench.effects.ready[1].key.task == 3);
  CHECK(bench.effects.ready[1].depends == std::vector<TaskNumber>{2, 5});
}

TEST_CASE("run: nor when it hears where such a task is") {
  Bench two(2);
  auto extras = std::make_shared<SubmitExtras>();
  extras->retries = 1;
  two.submit({in(two.x), out(two.y)}, extras);  // 1
  two.submit({inout(two.x)});                   // 2
  REQUIRE(two.advance().ready.size() == 1);
  two.run->placed({{{1, 1}}});
  CHECK(two.advance().ready.empty());
  two.end(1, Outcome::lost, Error(Errc::chip_lost, "gone"));
  REQUIRE(two.advance().ready.size() == 1);
  two.run->placed({{{1, 0}}});
  REQUIRE(two.advance().ready.size() == 1);
  CHECK(two.effects.ready[0].depends == std::vector<TaskNumber>{1});
}

TEST_CASE("run: cancel ends what waits, asks what runs to end, and stops the program") {
  Bench bench(2);
  bench.submit({inout(bench.x)});
  bench.submit({inout(bench.x)});
  bench.advance();
  bench.await(2, 5);
  bench.run->cancel(Error(Errc::cancelled, "enough"));
  bench.advance();
  CHECK(bench.effects.cancel_all);
  CHECK(bench.effects.stop_program);
  bench.end(1, Outcome::cancelled);
  bench.advance();
  bench.run->program_ended({});
  const auto effects = bench.run->advance();
  REQUIRE(effects.finished);
  CHECK(*effects.finished->error == Errc::cancelled);
}

TEST_CASE("run: a program that waits for what can never come is told why") {
  Bench bench;
  auto extras = std::make_shared<SubmitExtras>();
  // Two intermediates that only fit one after the other, wanted by one task after both were taken.
  Submit lines;
  for (std::uint64_t number = 1; number <= 2; ++number) {
    Submission alloc;
    alloc.kind = Submission::Kind::alloc;
    alloc.number = number;
    alloc.bytes = 700U << 10U;
    lines.lines.push_back(alloc);
  }
  bench.run->submit(lines);
  auto block = [&](std::uint64_t number) {
    const runtime::BufferRef ref{program_arena, 7, number};
    return runtime::Tensor::create(ref, 700U << 10U, 0, {175U << 10U}, runtime::DType::f32).value();
  };
  bench.submit({out(block(1))});
  bench.submit({out(block(2))});
  bench.advance();
  bench.end(1);
  bench.advance();
  bench.await(2, 3);
  bench.advance();
  REQUIRE(bench.effects.wakes.size() == 1);
  REQUIRE(bench.effects.wakes[0].error);
  CHECK_MESSAGE(*bench.effects.wakes[0].error == Errc::deadlock, render(*bench.effects.wakes[0].error));
}

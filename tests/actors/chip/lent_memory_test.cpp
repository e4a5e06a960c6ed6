// Memory that a user lends to a run is the user's again when the run is over: no task is answered while a
// thread copies out of it, whatever has become of the task.
#include <doctest/doctest.h>

#include <optional>
#include <vector>

#include "chip/state.hpp"
#include "data/data.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/platform/manual_host.hpp"
#include "troupe/platform/scripted_chip.hpp"

using namespace troupe::actors;
using namespace troupe;

namespace {

const Callable look{"look", CallableKind::chip, nullptr, nullptr, {}, CoreKind::vector, nullptr, nullptr};

/// A chip, driven call by call, and copies into it that a thread would make.
struct Bench {
  Bench() : state(config(), {"chip0", 0, 0, 0, link}, host) {
    script.on("look", [](auto&) {});
    platform::ContextEvents events;
    events.complete = [this](std::span<const troupe_completion> news) {
      for (const auto& end : news)
        done.ends.push_back({end.correlation, end.code, "", end.caused_by, end.started_ns, end.finished_ns});
    };
    auto device = open_device(state.config(), 0, host, std::move(events));
    REQUIRE(state.adopt(device));
  }
  ChipConfig config() {
    ChipConfig config;
    config.device = [this](std::uint32_t) { return Result<platform::DeviceApi>(script.api()); };
    return config;
  }
  std::vector<TaskResult> send(const std::vector<Tensor>& tensors, std::vector<TaskNumber> depends = {},
                               const std::vector<Tensor>& written = {}) {
    Args args;
    for (const auto& tensor : tensors) args.add(in(tensor));
    for (const auto& tensor : written) args.add(out(tensor));
    TaskRequest request;
    request.key = {run, ++last, 0, 0};
    request.ticket = last;
    request.depends = std::move(depends);
    request.body = std::make_shared<TaskBody>(TaskBody{&look, std::move(args.values), nullptr});
    std::vector<TaskRequest> requests;
    requests.push_back(std::move(request));
    return state.execute(requests);
  }
  /// The copy that is under way ends.
  std::vector<TaskResult> one_comes(const Result<void>& made = {}) {
    for (auto& call : state.to_move()) calls.push_back(std::move(call));
    REQUIRE_FALSE(calls.empty());
    const auto call = std::move(calls.front());
    calls.erase(calls.begin());
    return state.moved(call, made);
  }
  Tensor lent(std::vector<float>& elements) {
    const auto view = Tensor::borrow(elements.data(), {elements.size()}).description();
    return memory->borrow(view).value();
  }
  Tensor own(std::size_t elements) { return memory->tensor({elements}, runtime::DType::f32).value(); }

  std::shared_ptr<platform::ManualHost> host = std::make_shared<platform::ManualHost>();
  std::shared_ptr<HostMemory> memory = std::make_shared<HostMemory>();
  std::shared_ptr<NodeLink> link =
      std::make_shared<NodeLink>("node0", std::make_shared<Services>(SystemConfig{}), nullptr);
  platform::ScriptedChip script;
  DeviceDone done;
  std::vector<MemoryCall> calls;
  RunId run = 1;
  TaskNumber last = 0;
  ChipState state;
};

/// More than the chip's actor copies itself.
constexpr std::size_t many = ChipState::quick_bytes / sizeof(float) + 64;

}  // namespace

TEST_CASE("chip: a cancelled task is answered when what was lent for it is not being copied any more") {
  Bench bench;
  std::vector<float> mine(many);
  const auto x = bench.lent(mine);
  CHECK(bench.send({x}).empty());
  CHECK(bench.send({x}).empty());
  CHECK(bench.state.cancel({1, 0}).empty());
  const auto answers = bench.one_comes();
  REQUIRE(answers.size() == 2);
  for (const auto& answer : answers) {
    CHECK(answer.outcome == Outcome::cancelled);
    CHECK(answer.untouched);
  }
}

TEST_CASE("chip: answers to one run keep their order, those to others do not wait") {
  Bench bench;
  std::vector<float> mine(many);
  CHECK(bench.send({bench.lent(mine)}).empty());
  CHECK(bench.send({bench.own(8)}, {1}).empty());
  bench.run = 2;
  CHECK(bench.send({bench.own(8)}).empty());
  CHECK(bench.state.cancel({1, 0}).empty());
  CHECK(bench.state.cancel({2, 0}).size() == 1);
  const auto answers = bench.one_comes();
  REQUIRE(answers.size() == 2);
  CHECK(answers[0].ticket == 1);
  CHECK(answers[1].ticket == 2);
}

TEST_CASE("chip: one whose bytes are all in memory of ours is answered at once") {
  Bench bench;
  CHECK(bench.send({bench.own(many)}).empty());
  CHECK(bench.state.cancel({1, 0}).size() == 1);
  CHECK(bench.one_comes().empty());
}

TEST_CASE("chip: a task that is refused for one tensor is answered when another that was lent has come") {
  Bench bench;
  std::vector<float> mine(many);
  CHECK(bench.send({bench.own(many), bench.lent(mine)}).empty());
  CHECK(bench.one_comes(Error(Errc::bad_argument, "cannot be copied")).empty());
  const auto answers = bench.one_comes();
  REQUIRE(answers.size() == 1);
  CHECK(answers[0].outcome == Outcome::failed);
  REQUIRE(answers[0].error);
  CHECK(answers[0].error->message() == "cannot be copied");
}

TEST_CASE(
    "chip: who wants what a cancelled task was to write hears of it after that task has been answered") {
  Bench bench;
  std::vector<float> mine(many);
  const auto x = bench.own(8);
  CHECK(bench.send({bench.lent(mine)}, {}, {x}).empty());
  DataOrders orders;
  const auto buffer = x.hold()->buffer->shared_from_this();
  orders.stores.push_back({buffer, 0, {0, whole_box(*buffer)}});
  (void)bench.state.take(orders);
  CHECK(bench.state.cancel({1, 0}).empty());
  CHECK(bench.state.take_stored().empty());
  CHECK(bench.one_comes().size() == 1);
  CHECK(bench.state.take_stored().size() == 1);
}

TEST_CASE("chip: a copy that is out of date and cannot come goes with the last task that waits for it") {
  Bench bench;
  const auto x = bench.own(many);
  CHECK(bench.send({x}).empty());
  CHECK(bench.send({x}).empty());
  DataOrders orders;
  orders.drops.push_back({x.hold()->buffer->number(), 0});
  (void)bench.state.take(orders);
  const auto answers = bench.one_comes(Error(Errc::bad_argument, "cannot be copied"));
  REQUIRE(answers.size() == 2);
  CHECK(answers[1].outcome == Outcome::failed);
  CHECK(bench.send({x}).empty());  // the next is tried
  CHECK(bench.one_comes().empty());
}

TEST_CASE("chip: what has not been answered then is answered when the chip ends") {
  Bench bench;
  std::vector<float> mine(many);
  CHECK(bench.send({bench.lent(mine)}).empty());
  CHECK(bench.state.cancel({1, 0}).empty());
  SUBCASE("for good") {
    const auto answers = bench.state.abandon(Error(Errc::chip_lost, "it ends"));
    REQUIRE(answers.size() == 1);
    CHECK(answers[0].outcome == Outcome::cancelled);
  }
  SUBCASE("by a reset: its node answers for what was with it") {
    const auto left = bench.state.reset(1);
    CHECK(bench.state.abandon(Error(Errc::chip_lost, "it ends")).empty());
    CHECK(left->context.close());
  }
}

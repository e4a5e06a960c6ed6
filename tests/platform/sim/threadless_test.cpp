// A host that never has threads to give: everything happens in its posted tasks, on one thread. And one that
// has none left: what needs them fails.
#include <doctest/doctest.h>

#include "fixture.hpp"
#include "support/few_threads.hpp"
#include "troupe/platform/manual_host.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

struct QuietChip {
  explicit QuietChip(const std::string& platform)
      : context(DeviceContext::create(Chip::api(platform), host, events()).value()) {
    context.set_device(0).value();
  }
  ContextEvents events() {
    ContextEvents wired;
    wired.complete = [this](std::span<const troupe_completion> batch) { completions.add(batch); };
    return wired;
  }
  std::uint64_t add(const char* name) { return context.register_callable(name, troupe_this_module).value(); }
  /// Launches, lets the host do what was posted, and answers how it ended.
  Completions::Entry run(const char* name, const RunArgs& args, std::uint32_t blocks = 1) {
    auto run = args.run(++last, add(name));
    run.blocks = blocks;
    REQUIRE(context.launch({&run, 1}));
    CHECK(completions.count() == last - 1);  // never from inside a launch
    host->run();
    return completions.wait_for(last);
  }

  std::shared_ptr<ManualHost> host = std::make_shared<ManualHost>();
  Completions completions;
  DeviceContext context;
  std::uint64_t last = 0;
};

}  // namespace

// One task that is to be completed by a word that nobody sets, two that wait for what the last one would do.
TROUPE_CHIP_PROGRAM(defers_and_waits_for_a_later_task)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [written, word, flag] = args.tensors<3>();
  const std::int64_t counter = runtime::DeferredCompletion::counter;
  chip.aiv("defers", out(written), runtime::no_dep(word), scalar(counter), scalar(std::int64_t{0}),
           scalar(std::int64_t{1}), scalar(std::int64_t{1}), scalar(std::int64_t{0}));
  chip.aiv("wait_forever", runtime::no_dep(flag));
  chip.aiv("wait_forever", runtime::no_dep(flag));
  chip.aiv("raise", runtime::no_dep(flag));
}
TROUPE_CHIP_PROGRAM(one_cluster)(ChipOrchestrator& chip, ChipArgs args) {
  chip.mixed({"count_one", "count_one", {}}, inout(args.tensor(0)));
}

TEST_CASE("a host without threads runs kernels and chip programs in posted tasks") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    QuietChip chip(platform);
    float x = 0;
    const auto one = inout(Tensor::host(&x, {1}));
    CHECK(chip.run("increment", RunArgs::of(one)).completion.code == 0);
    CHECK(x == 1);
    CHECK(chip.run("long_chain", RunArgs::of(one, scalar(40'000))).completion.code == 0);
    CHECK(x == 40'001);
    std::vector<float> y(4, 1), sum(4, 0);
    CHECK(chip.run("elements",
                   RunArgs::of(inout(Tensor::host(y.data(), {4})), out(Tensor::host(sum.data(), {4}))))
              .completion.code == 0);
    CHECK(sum == std::vector<float>{10, 28, 73, 10});
    std::vector<std::int32_t> cells(100, 0);
    CHECK(chip.run("count_blocks", RunArgs::of(inout(Tensor::host(cells.data(), {100}))), 100)
              .completion.code == 0);
    CHECK(cells == std::vector<std::int32_t>(100, 1));
  }
}

TEST_CASE("what needs two threads at once fails by name on a host that has none, and nothing hangs") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    QuietChip chip(platform);
    std::int32_t word = 0;
    const auto flag = RunArgs::of(inout(Tensor::host(&word, {1})));
    const auto cluster = chip.run("one_cluster", flag);
    CHECK(cluster.completion.code == TROUPE_DEVICE_SYSTEM);
    CHECK(cluster.message.find("threads") != std::string::npos);
    CHECK(chip.run("wait_forever", flag).completion.code == TROUPE_DEVICE_DEADLOCK);
    const auto later = chip.run("waits_for_a_later_task", flag);
    CHECK(later.completion.code == TROUPE_DEVICE_SYSTEM);
    CHECK(later.message.find("no thread for a kernel that is ready") != std::string::npos);
    CHECK(chip.run("nothing", {}).completion.code == 0);
  }
}

TEST_CASE("a host without threads may close a chip that has not begun yet") {
  QuietChip chip("a2a3sim");
  const RunArgs none;
  const auto run = none.run(1, chip.add("nothing"));
  REQUIRE(chip.context.launch({&run, 1}));
  REQUIRE(chip.context.close());
  CHECK(chip.completions.wait_for(1).completion.code == TROUPE_DEVICE_ABORTED);
  chip.host->run();
  CHECK(chip.completions.count() == 1);
}

TEST_CASE(
    "on a host that has no threads left a launch is refused by name, and works when it has some again") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    auto host = std::make_shared<tests::FewThreads>();
    Completions completions;
    ContextEvents events;
    events.complete = [&](std::span<const troupe_completion> batch) { completions.add(batch); };
    auto context = DeviceContext::create(Chip::api(platform), host, events).value();
    context.set_device(0).value();
    const auto id = context.register_callable("increment", troupe_this_module).value();
    float x = 0;
    const auto args = RunArgs::of(inout(Tensor::host(&x, {1})));
    const troupe_run runs[] = {args.run(1, id), args.run(2, id)};
    host->leave(0);
    const auto refused = context.launch(runs);
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == Errc::system);
    CHECK(refused.error().message().find("no thread for this chip's runs") != std::string::npos);
    CHECK(refused.error().message().find("ulimit -u") != std::string::npos);
    CHECK_FALSE(context.run(args.run(0, id)));
    host->refuse_nothing();
    REQUIRE(context.launch(runs));  // nothing of the refused launch is left, its numbers included
    CHECK(completions.wait_for(2).completion.code == 0);
    CHECK(x == 2);
    REQUIRE(context.run(args.run(0, id)));
    CHECK(x == 3);
  }
}

TEST_CASE("a chip that gets no helpers runs what computes, and fails what waits for what nobody can run") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    auto host = std::make_shared<tests::FewThreads>();
    auto context = DeviceContext::create(Chip::api(platform), host, {}).value();
    context.set_device(0).value();
    host->leave(1);
    std::vector<float> y(4, 1), sum(4, 0);
    const auto elements = context.register_callable("elements", troupe_this_module).value();
    REQUIRE(context.run(RunArgs::of(inout(Tensor::host(y.data(), {4})), out(Tensor::host(sum.data(), {4})))
                            .run(0, elements)));
    CHECK(sum == std::vector<float>{10, 28, 73, 10});
    std::int32_t word = 0;
    const auto flag = RunArgs::of(inout(Tensor::host(&word, {1})));
    for (const char* program : {"waits_for_a_later_task", "one_cluster"}) {
      CAPTURE(program);
      const auto id = context.register_callable(program, troupe_this_module).value();
      const auto ended = context.run(flag.run(0, id));
      REQUIRE_FALSE(ended);
      CHECK(ended.error() == Errc::system);
      CHECK(ended.error().message().find("thread") != std::string::npos);
      CHECK(ended.error().message().find("ulimit -u") != std::string::npos);
      host->refuse_nothing();
      word = 0;
      CHECK(context.run(flag.run(0, id)));
      word = 0;
      context.close().value();
      context = DeviceContext::create(Chip::api(platform), host, {}).value();
      context.set_device(0).value();
      host->leave(1);
    }
  }
}

namespace {

/// A chip whose host gives as many threads as a test leaves it, and a foreign kernel that defers.
struct PoorChip {
  PoorChip() : context(DeviceContext::create(Chip::api("a2a3sim"), host, {}).value()) {
    context.set_device(0).value();
    const auto bytes = Chip::object_bytes("defers");
    troupe_callable callable{};
    callable.name = "defers";
    callable.bytes = bytes.data();
    callable.byte_count = bytes.size();
    callable.core_kind = TROUPE_CORE_AIV;
    defers = context.register_callable(callable).value();
  }
  std::shared_ptr<tests::FewThreads> host = std::make_shared<tests::FewThreads>();
  DeviceContext context;
  std::uint64_t defers = 0;
};

}  // namespace

TEST_CASE(
    "a chip that gets no more threads fails what waits for what nobody can run, deferred tasks or not") {
  PoorChip chip;
  const auto program =
      chip.context.register_callable("defers_and_waits_for_a_later_task", troupe_this_module).value();
  std::int32_t written = 0, word = 0, flag = 0;
  const auto args = RunArgs::of(inout(Tensor::host(&written, {1})), inout(Tensor::host(&word, {1})),
                                inout(Tensor::host(&flag, {1})));
  // For the run, for kernels beside the program, and for what was deferred.
  chip.host->leave(3);
  const auto ended = chip.context.run(args.run(0, program));
  REQUIRE_FALSE(ended);
  CAPTURE(ended.error().message());
  CHECK(ended.error() == Errc::system);
  // Which of them is refused depends on who comes first.
  CHECK(ended.error().message().find("no thread") != std::string::npos);
  CHECK(ended.error().message().find("'defers'") != std::string::npos);
  CHECK(ended.error().message().find("ulimit -u") != std::string::npos);
}

TEST_CASE("what was deferred and gets no thread to be waited for is an error that names the limits") {
  PoorChip chip;
  std::int32_t written = 0, word = 0;
  auto args = RunArgs::of(out(Tensor::host(&written, {1})), inout(Tensor::host(&word, {1})));
  for (const std::int64_t told : {std::int64_t{runtime::DeferredCompletion::counter}, std::int64_t{0},
                                  std::int64_t{1}, std::int64_t{1}, std::int64_t{0}})
    args.add(scalar(told));
  auto run = args.run(0, chip.defers);
  run.blocks = 2;  // of which a graph is made
  chip.host->leave(1);
  const auto ended = chip.context.run(run);
  REQUIRE_FALSE(ended);
  CHECK_MESSAGE(ended.error() == Errc::system, ended.error().message());
  CHECK(ended.error().message().find("the host gives no thread to wait for it") != std::string::npos);
  CHECK(ended.error().message().find("ulimit -u") != std::string::npos);
}

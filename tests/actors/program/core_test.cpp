// The program's side of a run, call by call and message by message: what it sends, when, and whom it wakes.
#include "program/core.hpp"

#include <doctest/doctest.h>

#include "troupe/actors/errc.hpp"

using namespace troupe::actors;
using namespace troupe;

namespace {

const Callable kernel{"kernel", CallableKind::chip, nullptr, nullptr, {}, CoreKind::vector, nullptr, nullptr};

/// Keeps what a program sends; a blocking one is answered by `on_block`.
struct FakePort final : ProgramPort {
  void send(Submit submit, bool computing) override {
    submits.push_back(std::move(submit));
    if (computing) ++early;
  }
  void send(ReadDone done) override { reads_done.push_back(done.task); }
  void send(OpenDomain open) override { opened.push_back(open.token); }
  void send(ReleaseDomain release) override { released.push_back(release.domain); }
  void send(EnterBarrier enter) override { entered.push_back(enter); }
  bool may_block() const override { return static_cast<bool>(on_block); }
  void block() override { on_block(); }

  std::vector<Submit> submits;
  int early = 0;  ///< batches that others should take up while the program goes on
  std::vector<TaskNumber> reads_done;
  std::vector<std::uint64_t> opened, released;
  std::vector<EnterBarrier> entered;
  std::function<void()> on_block;
};

struct Bench {
  Bench() {
    node->name = "node0";
    for (int i = 0; i < 2; ++i) node->executors.show(ExecutorKind::chip, "chip" + std::to_string(i));
    node->soft_limit = 100;
    node->hard_limit = 200;
    node->arena_bytes = 1024;
    node->memory = std::make_shared<HostMemory>();
    auto made = std::make_unique<FakePort>();
    port = made.get();
    core.emplace(node, 9, std::move(made));
  }
  Task submit() { return orchestrator().submit(kernel, inout(x)); }
  Orchestrator& orchestrator() {
    if (!node_of) node_of.emplace(*core);
    return *node_of;
  }
  void wake(std::uint64_t token) {
    Wake answer{.token = token};
    core->on(answer);
  }
  void wake(std::uint64_t token, const Error& error) {
    Wake answer{.token = token, .error = error};
    core->on(answer);
  }

  std::shared_ptr<NodeShared> node = std::make_shared<NodeShared>();
  FakePort* port = nullptr;
  std::optional<ProgramCore> core;
  std::optional<Orchestrator> node_of;
  float memory = 0;
  Tensor x{runtime::Tensor::host(&memory, {1}), nullptr};
};

}  // namespace

TEST_CASE("program: lines leave in batches of 64, and when the program waits") {
  Bench bench;
  for (int i = 0; i < 63; ++i) bench.submit();
  CHECK(bench.port->submits.empty());
  bench.submit();
  REQUIRE(bench.port->submits.size() == 1);
  CHECK(bench.port->submits[0].lines.size() == 64);
  CHECK(bench.port->submits[0].lines[63].number == 64);
  CHECK(bench.port->early == 1);
  const auto last = bench.submit();
  Task::Await waiter(bench.core->itself(), last.number());
  waiter.await_suspend({});
  REQUIRE(bench.port->submits.size() == 2);
  CHECK(bench.port->submits[1].lines.size() == 1);
  REQUIRE(bench.port->submits[1].await);
  CHECK(bench.port->submits[1].await->what == Await::What::task);
  CHECK(bench.port->submits[1].await->task == 65);
  CHECK(bench.port->early == 1);
}

TEST_CASE("program: an answer wakes whom it is for, once, who is gone is not woken") {
  Bench bench;
  const auto task = bench.submit();
  std::uint64_t forgotten = 0;
  {
    Task::Await gone(bench.core->itself(), task.number());
    gone.await_suspend(std::noop_coroutine());
    forgotten = bench.port->submits.back().await->token;
    CHECK(bench.core->waiting() == 1);
  }
  CHECK(bench.core->waiting() == 0);
  bench.wake(forgotten);
  CHECK_FALSE(bench.core->take_resumable());
  Task::Await waiter(bench.core->itself(), task.number());
  waiter.await_suspend(std::noop_coroutine());
  const auto token = bench.port->submits.back().await->token;
  CHECK(token != forgotten);
  bench.wake(token, Error(Errc::task_failed, "a ghost"));
  CHECK(bench.core->take_resumable());
  CHECK_THROWS_AS(waiter.await_resume(), Error);
  bench.wake(token);
  CHECK_FALSE(bench.core->take_resumable());
}

TEST_CASE("program: a plain function waits for room at its soft limit, and goes on when some has come") {
  Bench bench;
  int blocked = 0;
  bench.port->on_block = [&] {
    ++blocked;
    REQUIRE(bench.port->submits.back().await);
    const auto& await = *bench.port->submits.back().await;
    CHECK(await.what == Await::What::room);
    CHECK(await.limit == 75);
    bench.core->on(Credit{60});
    bench.wake(await.token);
  };
  for (int i = 0; i < 64; ++i) bench.submit();
  CHECK(blocked == 0);
  for (int i = 0; i < 64; ++i) bench.submit();
  CHECK(blocked == 1);
  CHECK(bench.core->unfinished() == 68);
}

TEST_CASE("program: a coroutine is refused past its hard limit, and may not block") {
  Bench bench;
  int submitted = 0;
  try {
    for (; submitted < 1000; ++submitted) bench.submit();
  } catch (const Error& error) {
    CHECK(error == Errc::submit_overrun);
  }
  CHECK(submitted >= 200);
  CHECK(submitted < 300);
  try {
    bench.orchestrator().drain();
    FAIL("has blocked");
  } catch (const Error& error) {
    CHECK(error == Errc::blocking_in_coroutine);
  }
  CHECK(bench.core->waiting() == 0);
}

TEST_CASE("program: what no handle names any more is released with the next batch") {
  Bench bench;
  auto& node = bench.orchestrator();
  {
    auto a = node.alloc<float>({4});
    auto scope = node.scope();
  }
  node.flush();
  REQUIRE(bench.port->submits.size() == 1);
  using Kind = Submission::Kind;
  std::vector<Kind> kinds;
  for (const auto& line : bench.port->submits[0].lines) kinds.push_back(line.kind);
  CHECK(kinds == std::vector<Kind>{Kind::alloc, Kind::scope_begin, Kind::scope_end, Kind::release});
  CHECK_THROWS_AS(node.alloc<float>({4096}), Error);  // larger than the arena
}

TEST_CASE("program: a read that is given up lets later writers go on") {
  Bench bench;
  {
    Read<float> read(bench.core->itself(), bench.x, {});
    read.await_suspend(std::noop_coroutine());
    CHECK(bench.port->reads_done.empty());
  }
  CHECK(bench.port->reads_done == std::vector<TaskNumber>{1});
}

TEST_CASE("program: a domain is asked for, met in, and released with its last copy") {
  Bench bench;
  auto info = std::make_shared<DomainInfo>();
  info->id = info->epoch = 4;
  info->ranks.resize(2);
  {
    Domain domain(bench.core->itself(), info);
    DomainBarrier barrier(bench.core->itself(), domain, 1, {});
    barrier.await_suspend(std::noop_coroutine());
    REQUIRE(bench.port->entered.size() == 1);
    CHECK(bench.port->entered[0].domain == 4);
    CHECK(bench.port->entered[0].rank == 1);
    bench.wake(bench.port->entered[0].token);
    CHECK(bench.core->take_resumable());
    CHECK_THROWS_AS(DomainBarrier(bench.core->itself(), domain, 2, {}).await_suspend(std::noop_coroutine()),
                    Error);
    CHECK(bench.port->released.empty());
  }
  CHECK(bench.port->released == std::vector<std::uint64_t>{4});
}

TEST_CASE("program: once it is stopped every call throws the reason, and destructors say nothing") {
  Bench bench;
  auto& node = bench.orchestrator();
  std::optional<Scope> scope(node.scope());
  node.flush();
  const auto sent = bench.port->submits.size();
  bench.core->on(StopProgram{Error(Errc::cancelled, "enough")});
  CHECK_THROWS_AS(bench.submit(), Error);
  CHECK_THROWS_AS(node.alloc<float>({1}), Error);
  CHECK_THROWS_AS((void)node.scope(), Error);
  scope.reset();
  CHECK(bench.port->submits.size() == sent);
}

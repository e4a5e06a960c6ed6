// A thread that waited for an answer took any job, somebody else's program among them: `node.status()`, or
// the submit of a program, came back when that program had computed, or waited, as long as it liked;
// meanwhile Ctrl-C and --timeout of the command were dead. And a thread inside a program counted as one that
// would soon look for work: what its program had set going lay in its own slot, for which the program then
// waited.
//
// Promised now: who waits runs actors of the framework and the program that it called itself, nobody else's;
// and a program that computes or waits in its own code holds up itself alone.
#include <doctest/doctest.h>

#include <atomic>
#include <latch>
#include <thread>

#include "troupe/testing.hpp"

using namespace troupe;

namespace {

struct Bench {
  Bench() {
    NodeConfig config;
    config.sub_workers = 1;
    config.device = [script = script](int, std::uint32_t) mutable {
      return Result<platform::DeviceApi>(script.api());
    };
    node.emplace(system.node(config));
    node->add_kernel("step");
  }
  static SystemConfig two_threads() {
    SystemConfig config;
    config.threads = 2;
    return config;
  }
  platform::ScriptedChip script = [] {
    platform::ScriptedChip made;
    made.on("step", [](auto& call) { call.template tensor<float>(0)[0] += 1; });
    return made;
  }();
  System system{two_threads()};
  std::optional<Node> node;
};

}  // namespace

TEST_CASE("who submits a program or asks for the status does not run the program") {
  Bench bench;
  const auto& node = *bench.node;
  const auto here = std::this_thread::get_id();
  std::atomic<int> visits = 0;
  auto x = node.tensor<float>({1});
  auto run = node.submit([&](Orchestrator& n) -> Program {
    for (int i = 0; i < 2000; ++i) {
      if (std::this_thread::get_id() == here) ++visits;
      co_await n.submit("step", inout(x));
    }
  });
  while (!run.done()) (void)node.status();
  CHECK(!run.report().error);
  CHECK(visits == 0);
}

TEST_CASE("a program that waits in its own code holds up neither who submits nor who asks") {
  Bench bench;
  const auto& node = *bench.node;
  std::latch inside{1}, go_on{1};
  auto blocked = node.submit([&](Orchestrator&) -> Program {
    inside.count_down();
    go_on.wait();
    co_return;
  });
  inside.wait();
  CHECK(node.status().children.size() == 2);
  auto x = node.tensor<float>({1});
  node.run([&](Orchestrator& n) -> Program { co_await n.submit("step", inout(x)); });
  CHECK(x.host<const float>()[0] == 1.0F);
  auto other = node.submit([&](Orchestrator& n) -> Program {
    co_await n.submit("step", inout(x));
    go_on.count_down();
  });
  CHECK(!other.report().error);
  CHECK(!blocked.report().error);
}

TEST_CASE("what a program has set going goes on while the program waits for it in its own code") {
  for (const bool called : {false, true}) {
    CAPTURE(called);
    Bench bench;
    const auto& node = *bench.node;
    auto x = node.tensor<float>({1});
    std::latch ran{1};
    auto program = [&](Orchestrator& n) -> Program {
      n.submit("step", inout(x));
      (void)co_await n.read<float>(x);
      n.submit("step", inout(x));
      n.submit_sub([&](HostArgs&) { ran.count_down(); }, inout(x));
      n.flush();
      ran.wait();
    };
    if (called) {
      node.run(program);
    } else {
      CHECK(!node.submit(program).report().error);
    }
    CHECK(x.host<const float>()[0] == 2.0F);
  }
}

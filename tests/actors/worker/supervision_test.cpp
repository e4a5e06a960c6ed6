// Who supervises whom, up to the top.
#include <doctest/doctest.h>

#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::Errc;
using test::error_of;
using testing::Simulation;

namespace {

void step_on_any(Orchestrator& n, Tensor x) { n.submit("step", in(x)); }
void on_a_node(Orchestrator& n, Tensor x) { n.submit(step_on_any, in(x)); }

NodeConfig scripted(const platform::ScriptedChip& script, std::string name, int first) {
  NodeConfig config;
  config.name = std::move(name);
  config.chips = 1;
  config.first_device = first;
  config.device = [script](int, std::uint32_t) { return Result<platform::DeviceApi>(script.api()); };
  return config;
}

}  // namespace

TEST_CASE("a node whose chips are all out of use gives up to its pod, which restarts it") {
  Simulation sim({.chips = 1, .nodes = 2, .restart = {1, 10s}});
  sim.kernel("step", [](auto&) {});
  sim.fault(testing::kill_chip(0).times(3));
  auto& pod = sim.node();
  auto x = pod.tensor<float>({1});
  // Each attempt loses the chip; after the second the node is lost, after the third it works again.
  pod.run([](Orchestrator& p, Tensor a) { p.submit(step_on_any, in(a), on_chip(0), retry(5)); }, x);
  CHECK(sim.ran_on(0) == 1);
  const auto status = pod.status();
  CHECK(status.children[0].restarts == 1);
  CHECK(status.children[0].state == "up");
  CHECK(status.children[1].restarts == 0);
}

TEST_CASE("the top node without any chip left refuses work with a sentence instead of keeping it") {
  Simulation sim({.chips = 2, .restart = {0, 10s}});
  sim.kernel("step", [](auto&) {});
  sim.fault(testing::kill_chip(0));
  sim.fault(testing::kill_chip(1));
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  const auto gone = error_of([&] {
    node.run(
        [](Orchestrator& n, Tensor a) {
          n.submit("step", in(a), on_chip(0));
          n.submit("step", in(a), on_chip(1));
        },
        x);
  });
  REQUIRE(gone);
  const auto refused = error_of([&] { node.run(step_on_any, x); });
  REQUIRE(refused);
  CHECK(*refused == Errc::chip_retired);
  // A new chip, and it goes on.
  actors::ChipConfig config;
  config.device_id = 7;
  config.device = [script = sim.script()](std::uint32_t) {
    return Result<platform::DeviceApi>(script.api());
  };
  (void)node.add_executor(config);
  node.run(step_on_any, x);
  CHECK(sim.ran_on(7) == 1);
}

TEST_CASE("nodes of a pod, and sub-workers, come and go while programs run") {
  platform::ScriptedChip script;
  script.on("step", [](auto&) {});
  System system({.log_level = 0});
  PodConfig config;
  config.nodes = {scripted(script, "node0", 0)};
  auto pod = system.pod(config);
  pod.add_kernel("step");
  auto x = pod.tensor<float>({1});
  const int second = pod.add_executor(actors::to_worker(scripted(script, "node1", 1)));
  pod.run([second](Orchestrator& p, Tensor a) { p.submit(step_on_any, in(a), on_chip(second)); }, x);
  pod.remove_executor(0);
  pod.run([](Orchestrator& p, Tensor a) { p.submit(step_on_any, in(a)); }, x);
  CHECK(script.history().size() == 2);
  CHECK(script.history()[1].device == 1);
  const auto gone = error_of(
      [&] { pod.run([](Orchestrator& p, Tensor a) { p.submit(step_on_any, in(a), on_chip(0)); }, x); });
  REQUIRE(gone);
  CHECK(*gone == Errc::chip_retired);

  auto node = system.node(scripted(script, "node2", 2));
  const int sub = node.add_executor(actors::SubWorkerConfig{});
  node.remove_executor(sub - 1);
  bool ran = false;
  node.run([&ran](Orchestrator& n) { n.submit_sub([&ran](HostArgs&) { ran = true; }); });
  CHECK(ran);
}

TEST_CASE("errors carry the path through every level and the chain of causes") {
  platform::ScriptedChip script;
  script.on("step", [](auto&) { throw std::runtime_error("a ghost"); });
  System system({.log_level = 0});
  PodConfig pod;
  pod.name = "pod3";
  pod.nodes = {scripted(script, "node0", 0), scripted(script, "node1", 1)};
  PodConfig super;
  super.name = "super0";
  super.workers = {actors::to_worker(pod)};
  auto top = system.pod(super);
  top.add_kernel("step");
  auto x = top.tensor<float>({1});
  const auto error =
      error_of([&] { top.run([](Orchestrator& p, Tensor a) { p.submit(on_a_node, in(a)); }, x); });
  REQUIRE(error);
  CHECK(*error == Errc::task_failed);
  CHECK_MESSAGE(error->path().find("super0/pod3/node") == 0, error->path());
  CHECK_MESSAGE(error->path().find("/chip0") != std::string::npos, error->path());
  CHECK(error->message().find("task \"step\" failed: ") == 0);
  CHECK(error->root().message().find("a ghost") != std::string::npos);
  const auto text = render(*error);
  CHECK_MESSAGE(text.find("super0/pod3/node0/chip0: task \"step\"") != std::string::npos, text);
}

TEST_CASE("why says what a run waits for, down to the core") {
  Simulation sim({.chips = 1});
  sim.kernel("wait", [](auto& call) { call.waits(); });
  sim.kernel("step", [](auto&) {});
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  auto handle = node.submit(
      [](Orchestrator& n, Tensor a) -> Program {
        n.submit("wait", inout(a));
        co_await n.submit("step", in(a));
      },
      x);
  sim.steps(1000);
  const auto text = handle.why();
  CHECK_MESSAGE(text.find("task 1 \"wait\": with chip0: aiv0: wait, for ") == 0, text);
  CHECK_MESSAGE(text.find("\ntask 2 \"step\": with chip0: ") != std::string::npos, text);
  CHECK(handle.why(2).find("task 2 \"step\": ") == 0);
  handle.cancel();
  handle.wait();
  CHECK(handle.why() == "the run has ended");
}

TEST_CASE("why goes down the levels: what a node does with a program of the pod") {
  Simulation sim({.chips = 1, .nodes = 1});
  sim.kernel("wait", [](auto& call) { call.waits(); });
  auto& pod = sim.node();
  auto x = pod.tensor<float>({1});
  auto handle = pod.submit(
      [](Orchestrator& p, Tensor a) -> Program {
        co_await p.submit(
            +[](Orchestrator& n, Tensor b) { n.submit("wait", inout(b)); }, inout(a));
      },
      x);
  sim.steps(1000);
  const auto text = handle.why();
  CHECK_MESSAGE(text.find("with node0: program \"program\": task 1 \"wait\": with chip0: aiv0: wait, for ") !=
                    std::string::npos,
                text);
  handle.cancel();
  handle.wait();
}

TEST_CASE("status names busy cores, down the levels") {
  Simulation sim({.chips = 1, .nodes = 2});
  sim.kernel("wait", [](auto& call) { call.waits(); });
  auto& pod = sim.node();
  auto x = pod.tensor<float>({1});
  auto handle = pod.submit(
      [](Orchestrator& p, Tensor a) -> Program {
        co_await p.submit(
            +[](Orchestrator& n, Tensor b) { n.submit("wait", in(b)); }, in(a), on_chip(1));
      },
      x);
  sim.steps(1000);
  const auto status = pod.status();
  REQUIRE(status.children.size() == 2);
  const auto& chip = status.children[1].children.at(0);
  CHECK(chip.running == 1);
  REQUIRE(chip.busy.size() == 1);
  CHECK_MESSAGE(chip.busy[0].find("wait") != std::string::npos, chip.busy[0]);
  CHECK(status.children[0].children.at(0).busy.empty());
  handle.cancel();
  handle.wait();
}

TEST_CASE("higher priority goes first among what waits for the node") {
  Simulation sim({.chips = 1, .credit = 1});
  sim.kernel("low", [](auto&) {});
  sim.kernel("high", [](auto&) {});
  actors::ChipConfig other;
  other.credit = 1;
  other.device_id = 5;
  auto& node = sim.node();
  other.device = [script = sim.script()](std::uint32_t) { return Result<platform::DeviceApi>(script.api()); };
  (void)node.add_executor(other);  // two chips, so that tasks wait with the node and not in a lane
  auto x = node.tensor<float>({1});
  node.run(
      [](Orchestrator& n, Tensor a) {
        for (int i = 0; i < 10; ++i) n.submit("low", in(a));
        for (int i = 0; i < 4; ++i) n.submit("high", in(a), priority(1));
      },
      x);
  const auto order = sim.order();
  CHECK_MESSAGE(order.rfind("high") < order.rfind("low low low low"), order);
}

// A System may end while other threads are inside calls on its nodes.
//
// What went wrong: a call borrows a helper (a pump) from its system and gives it back at its end. When the
// system had ended meanwhile, the helper was given back to freed memory, after its actors and threads had
// been taken down around it: the heap was corrupt in every run of a program in which one thread called
// `node.run()`, `status()`, `malloc()`, `reset()` or `add_executor()` while another let the System go. Calls
// that their node had not answered yet (`reset`, `add_executor`, `remove_executor`) waited for ever. Tensors
// and handles sent messages into a system that was being taken apart.
//
// What is promised: the system is not over before the calls on it are. Those in progress end with `shut_down`
// (or as they would have ended anyway), those that come afterwards end with `shut_down` at once, and nobody
// waits for ever.
#include <doctest/doctest.h>

#include <functional>
#include <latch>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::error_of;

namespace {

/// Something that a thread does again and again; `begun` is called once it is certain to be under way.
using Calls = std::function<void(const Node&, const std::function<void()>& begun)>;

platform::ScriptedChip script_of_kernels() {
  platform::ScriptedChip script;
  script.on("look", [](auto&) {});
  script.on("wait", [](auto& call) { call.waits(); });
  return script;
}

NodeConfig config_of(const platform::ScriptedChip& script) {
  NodeConfig config;
  config.chips = 2;
  config.device = [script](int, std::uint32_t) { return Result<platform::DeviceApi>(script.api()); };
  // Chips that are reset and added all the time are no sign of anything.
  config.restart.restarts = 1'000'000;
  return config;
}

/// A system ends while four threads are inside `calls`; what they throw has to be `shut_down` at last, and
/// `also_fine` before.
void ends_under(const Calls& calls, const std::vector<Errc>& also_fine = {}) {
  constexpr int threads = 4, rounds = 5;
  for (int round = 0; round < rounds; ++round) {
    std::mutex mutex;
    std::vector<std::string> wrong;
    std::vector<std::thread> callers;
    const auto script = script_of_kernels();
    auto system = std::make_unique<System>();
    const Node node = system->node(config_of(script));
    node.add_kernel("look");
    node.add_kernel("wait");
    std::latch inside(threads);
    for (int i = 0; i < threads; ++i) {
      callers.emplace_back([&, node] {
        bool counted = false;
        const auto begun = [&] {
          if (!std::exchange(counted, true)) inside.count_down();
        };
        for (;;) {
          const auto error = error_of([&] { calls(node, begun); });
          begun();
          if (!error) continue;
          if (*error == Errc::shut_down) return;
          bool fine = false;
          for (const auto code : also_fine) fine = fine || *error == code;
          if (fine) continue;
          std::lock_guard guard(mutex);
          wrong.emplace_back(error->what());
          return;
        }
      });
    }
    inside.wait();
    system.reset();
    for (auto& caller : callers) caller.join();
    for (const auto& what : wrong) FAIL_CHECK(what);
    // Afterwards, too.
    const auto after = error_of([&] { calls(node, [] {}); });
    REQUIRE(after);
    CHECK_MESSAGE(*after == Errc::shut_down, after->what());
  }
}

}  // namespace

TEST_CASE("a system ends while threads run programs") {
  ends_under([](const Node& node, const auto&) {
    auto x = node.tensor<float>({4});
    node.run([&](Orchestrator& n) { n.submit("look", in(x)); });
  });
}

TEST_CASE("a system ends while threads run coroutines") {
  ends_under([](const Node& node, const auto&) {
    auto x = node.tensor<float>({4});
    node.run([&](Orchestrator& n) -> Program { co_await n.submit("look", in(x)); });
  });
}

TEST_CASE("a system ends while threads wait inside programs for what never comes") {
  ends_under([](const Node& node, const auto& begun) {
    auto x = node.tensor<float>({4});
    node.run([&](Orchestrator& n) {
      auto task = n.submit("wait", in(x));
      begun();
      task.wait();
    });
  });
}

TEST_CASE("a system ends while threads submit programs, wait for them, cancel them, ask why they wait") {
  ends_under([](const Node& node, const auto&) {
    auto x = node.tensor<float>({4});
    auto handle = node.submit([](Orchestrator& n, Tensor a) { n.submit("wait", in(a)); }, x);
    (void)handle.why();
    handle.cancel();
    handle.wait();
    CHECK(handle.done());
  });
}

TEST_CASE("a system ends while threads wait for more programs than it admits") {
  ends_under([](const Node& node, const auto& begun) {
    auto x = node.tensor<float>({4});
    begun();  // the others may take all places before this one gets its first
    for (int i = 0; i < 40; ++i) {
      (void)node.submit([](Orchestrator& n, Tensor a) -> Program { co_await n.submit("wait", in(a)); }, x);
    }
  });
}

TEST_CASE("a system ends while threads look at its state") {
  ends_under([](const Node& node, const auto&) { (void)node.status(); });
}

TEST_CASE("a system ends while threads use a chip's memory") {
  ends_under([](const Node& node, const auto&) {
    const auto chip = node.chip(0);
    auto there = chip.malloc<float>({16});
    auto here = node.tensor<float>({16}, 1.0F);
    chip.copy_to(there, here);
    chip.copy_from(here, there);
  });
}

TEST_CASE("a system ends while threads copy what takes a thread of its own") {
  ends_under([](const Node& node, const auto&) {
    const auto chip = node.chip(1);
    auto there = chip.malloc<float>({1 << 18});
    auto here = node.tensor<float>({1 << 18});
    chip.copy_to(there, here);
    chip.copy_from(here, there);
  });
}

TEST_CASE(
    "a system ends while threads look at tensors that chips have: they see all of it, or that it is lost") {
  ends_under(
      [](const Node& node, const auto&) {
        auto x = node.tensor<float>({1 << 18});
        node.run([&](Orchestrator& n) { n.submit("look", inout(x)); });
        CHECK(x.host<const float>().size() == std::size_t{1} << 18U);
      },
      {Errc::data_lost});
}

TEST_CASE("a system ends while threads run single tasks on a chip") {
  ends_under([](const Node& node, const auto&) {
    auto x = node.tensor<float>({4});
    node.chip(0).run("look", in(x));
  });
}

TEST_CASE("a system ends while threads reset its chips") {
  // Another thread's reset is under way, or the chip is on its way up.
  ends_under([](const Node& node, const auto&) { node.chip(0).reset(); },
             {Errc::wrong_state, Errc::chip_lost});
}

TEST_CASE("a system ends while threads add executors and take them away") {
  const auto script = script_of_kernels();
  actors::ChipConfig chip;
  chip.device = [script](std::uint32_t) { return Result<platform::DeviceApi>(script.api()); };
  ends_under([chip](const Node& node, const auto&) { node.remove_executor(node.add_executor(chip)); });
}

TEST_CASE("a system ends while threads store what is not configured, and while resets go on beside runs") {
  ends_under(
      [](const Node& node, const auto&) {
        auto x = node.tensor<float>({4});
        node.chip(0).reset();
        node.run([&](Orchestrator& n) { n.submit("look", in(x), on_chip(0)); });
        node.store_to_host();
      },
      {Errc::wrong_state, Errc::chip_lost, Errc::task_failed});
}

TEST_CASE("a thread that stays inside its own code is left behind by its system, and comes back unharmed") {
  // Three seconds of patience, then the system's memory is left to the thread.
  std::latch inside(1), may_leave(1);
  std::optional<Error> error;
  std::thread caller;
  std::string log;
  std::mutex mutex;
  {
    const auto script = script_of_kernels();
    SystemConfig config;
    config.log = [&](int, std::string_view, std::string_view text) {
      std::lock_guard guard(mutex);
      log += text;
    };
    System system(config);
    const Node node = system.node(config_of(script));
    caller = std::thread([&, node] {
      error = error_of([&] {
        node.run([&](Orchestrator&) {
          inside.count_down();
          may_leave.wait();
        });
      });
    });
    inside.wait();
  }
  {
    std::lock_guard guard(mutex);
    CHECK(log.find("left behind") != std::string::npos);
  }
  may_leave.count_down();
  caller.join();
  REQUIRE(error);
  CHECK(*error == Errc::shut_down);
}

TEST_CASE("whatever is asked of a node whose system has gone is answered with shut_down") {
  std::unique_ptr<Node> node;
  Handle handle;
  Tensor there;
  {
    testing::Simulation sim({.chips = 1});
    sim.kernel("look", [](auto&) {});
    sim.kernel("wait", [](auto& call) { call.waits(); });
    node = std::make_unique<Node>(sim.node());
    there = node->chip(0).malloc<float>({4});
    auto x = node->tensor<float>({4});
    handle = node->submit([](Orchestrator& n, Tensor a) { n.submit("wait", in(a)); }, x);
    sim.steps(1000);
    CHECK_FALSE(handle.done());
  }
  CHECK(handle.done());
  CHECK(handle.result().error() == Errc::shut_down);
  CHECK(handle.why() == "the run has ended");
  handle.cancel();
  there = {};  // sends nothing to anybody
  auto x = node->tensor<float>({4}, 1.0F);
  CHECK(x.host<float>()[3] == 1.0F);
  const std::vector<std::function<void()>> calls = {
      [&] { node->run([](Orchestrator&) {}); },
      [&] { node->run([](Orchestrator&) -> Program { co_return; }); },
      [&] { (void)node->submit([](Orchestrator&) {}); },
      [&] { (void)node->status(); },
      [&] { (void)node->chip(0); },
      [&] { (void)node->add_executor(actors::SubWorkerConfig{}); },
      [&] { node->remove_executor(0); },
      [&] { node->store_to_host(); },
  };
  for (const auto& call : calls) {
    const auto error = error_of(call);
    REQUIRE(error);
    CHECK_MESSAGE(*error == Errc::shut_down, error->what());
  }
}

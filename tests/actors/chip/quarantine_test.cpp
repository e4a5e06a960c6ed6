// What does not return is left behind: the run that gave it up ends, the chip starts again, nothing is lost
// twice.
#include <doctest/doctest.h>

#include <condition_variable>
#include <mutex>

#include "support/error_of.hpp"
#include "troupe/platform/manual_host.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using actors::Errc;
using test::error_of;
using testing::Simulation;

namespace {

void add_kernels(Simulation& sim) {
  sim.kernel("look", [](auto&) {});
  sim.kernel("stuck", [](auto& call) { call.hangs(); });
  sim.kernel("slow", [](auto& call) { call.takes(10'000'000'000); });
  sim.kernel("increment", [](auto& call) { call.template tensor<float>(0)[0] += 1; });
}

void look_on_0(Orchestrator& n, Tensor x) { n.submit("look", in(x), on_chip(0)); }

}  // namespace

TEST_CASE("a deadline gives up on a kernel that does not return, and its chip starts again") {
  Simulation sim({.chips = 2});
  add_kernels(sim);
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  const auto error = error_of([&] {
    node.run([](Orchestrator& n, Tensor a) { n.submit("stuck", in(a), on_chip(0), deadline(5ms)); }, x);
  });
  REQUIRE(error);
  CHECK(*error == Errc::deadline_exceeded);
  // The deadline and the grace, not the hour that the kernel would take.
  CHECK(sim.now() < 10s);
  node.run(look_on_0, x);
  const auto status = node.status();
  CHECK(status.children[0].restarts == 1);
  CHECK(status.children[0].state == "up");
  CHECK(status.children[1].restarts == 0);
  // The old life is kept, not closed: its kernel is still inside.
  CHECK(sim.script().live_contexts() == 3);
  sim.script().release_hung();
  while (sim.steps(1000) > 0) {
  }
  sim.sweep_quarantine();
  CHECK(sim.script().live_contexts() == 2);
}

TEST_CASE("cancel does not wait for a kernel that does not return either") {
  Simulation sim({.chips = 1});
  add_kernels(sim);
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  auto handle = node.submit([](Orchestrator& n, Tensor a) { n.submit("stuck", in(a)); }, x);
  sim.steps(1000);
  handle.cancel();
  const auto ended = handle.result();
  REQUIRE_FALSE(ended);
  CHECK(ended.error() == Errc::cancelled);
  node.run(look_on_0, x);
}

TEST_CASE("what others have on a chip that is given up is lost with a sentence, and retried where allowed") {
  Simulation sim({.chips = 1});
  add_kernels(sim);
  auto& node = sim.node();
  auto x = node.tensor<float>({1}), y = node.tensor<float>({1});
  auto stuck = node.submit([](Orchestrator& n, Tensor a) { n.submit("stuck", in(a)); }, x);
  sim.steps(1000);
  auto other = node.submit([](Orchestrator& n, Tensor a) { n.submit("look", in(a)); }, y);
  auto again = node.submit([](Orchestrator& n, Tensor a) { n.submit("look", in(a), retry(1)); }, y);
  sim.steps(1000);
  stuck.cancel();
  const auto lost = other.result();
  REQUIRE_FALSE(lost);
  CHECK(lost.error() == Errc::chip_lost);
  CHECK(lost.error().message().find("\"stuck\" was given up and does not return") != std::string::npos);
  CHECK(again.result());
}

TEST_CASE("a task that only waits behind another kernel is no reason to give up a chip") {
  Simulation sim({.chips = 1});
  add_kernels(sim);
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  const auto error = error_of([&] {
    node.run(
        [](Orchestrator& n, Tensor a) {
          n.submit("slow", inout(a));
          n.submit("look", inout(a), deadline(1ms));
        },
        x);
  });
  REQUIRE(error);
  CHECK(*error == Errc::deadline_exceeded);
  sim.advance(20s);
  CHECK(sim.ran("slow") == 1);
  CHECK(node.status().children[0].restarts == 0);
}

TEST_CASE("a completion that never comes is given up with its chip, too") {
  Simulation sim({.chips = 1});
  add_kernels(sim);
  sim.fault(testing::drop("look"));
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  const auto error = error_of(
      [&] { node.run([](Orchestrator& n, Tensor a) { n.submit("look", in(a), deadline(1ms)); }, x); });
  REQUIRE(error);
  CHECK(*error == Errc::deadline_exceeded);
  node.run(look_on_0, x);
}

TEST_CASE("a system ends while a kernel hangs") {
  Handle handle;
  {
    Simulation sim({.chips = 1});
    add_kernels(sim);
    auto& node = sim.node();
    auto x = node.tensor<float>({1});
    handle = node.submit([](Orchestrator& n, Tensor a) { n.submit("stuck", in(a)); }, x);
    sim.steps(1000);
  }
  REQUIRE(handle.done());
  CHECK(handle.result().error() == Errc::shut_down);
}

TEST_CASE("a chip can be reset: what was on it is gone, and it works again") {
  Simulation sim({.chips = 1});
  add_kernels(sim);
  auto& node = sim.node();
  auto chip = node.chip(0);
  auto host = node.tensor<float>({4}, 1.0F);
  auto device = chip.malloc<float>({4});
  chip.copy_to(device, host);
  auto stuck = node.submit([](Orchestrator& n, Tensor a) { n.submit("stuck", in(a)); }, host);
  sim.steps(1000);
  chip.reset();
  REQUIRE_FALSE(stuck.result());
  CHECK(stuck.result().error() == Errc::chip_lost);
  const auto gone = error_of([&] { chip.copy_from(host, device); });
  REQUIRE(gone);
  CHECK(*gone == Errc::data_lost);
  const auto task =
      error_of([&] { node.run([](Orchestrator& n, Tensor d) { n.submit("increment", inout(d)); }, device); });
  REQUIRE(task);
  CHECK(*task == Errc::data_lost);
  auto fresh = chip.malloc<float>({4});
  chip.copy_to(fresh, host);
  chip.run("increment", inout(fresh));
  chip.copy_from(host, fresh);
  CHECK(host.host<float>()[0] == 2.0F);
}

TEST_CASE("a chip that dies while it is being reset is restarted, and the reset is answered") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Simulation sim({.seed = seed, .chips = 1});
    sim.kernel("step", [](auto&) {});
    auto& node = sim.node();
    sim.kill(0);
    try {
      node.chip(0).reset();
    } catch (const Error& error) {
      CHECK(error == Errc::chip_lost);
    }
    auto x = node.tensor<float>({1});
    node.run([](Orchestrator& n, Tensor a) { n.submit("step", out_existing(a), retry(3)); }, x);
    while (sim.steps(1000) > 0) {
    }
    CHECK(node.status().children[0].state == "up");
  }
}

TEST_CASE("a host function that does not return keeps its thread and its memory, not its run") {
  std::mutex mutex;
  std::condition_variable changed;
  bool inside = false, leave = false, left = false;
  {
    System system({.log_level = 0});
    NodeConfig config;
    config.chips = 0;
    config.abort_grace = 1ms;
    auto node = system.node(config);
    auto handle = node.submit([&](Orchestrator& n) {
      auto own = n.alloc<float>({1024});
      n.submit_sub(
          [&](HostArgs& args) {
            auto memory = args.tensor<float>(0);
            std::unique_lock guard(mutex);
            inside = true;
            changed.notify_all();
            changed.wait(guard, [&] { return leave; });
            // The run has ended; its memory is there all the same.
            for (std::size_t i = 0; i < memory.size(); ++i) memory[i] = 1.0F;
            left = true;
            changed.notify_all();
          },
          out(own));
    });
    {
      std::unique_lock guard(mutex);
      changed.wait(guard, [&] { return inside; });
    }
    handle.cancel();
    const auto ended = handle.result();
    REQUIRE_FALSE(ended);
    CHECK(ended.error() == Errc::cancelled);
    // Another sub-worker is in its place.
    bool ran = false;
    node.run([&ran](Orchestrator& n) { n.submit_sub([&ran](HostArgs&) { ran = true; }); });
    CHECK(ran);
    CHECK(node.status().children[0].restarts == 1);
    {
      std::unique_lock guard(mutex);
      leave = true;
      changed.notify_all();
      changed.wait(guard, [&] { return left; });
    }
  }
}

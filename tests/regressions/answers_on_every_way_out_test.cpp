// Whatever is asked of an actor is answered, however that actor ends.
//
// What went wrong: an answer that is given later is a promise, and a promise that is dropped tells nobody. A
// worker that died (it had no handler for exceptions, and a log sink that threw was enough) dropped those of
// resets, of executors that were being added or removed, of domains, of runs that waited for admission; a
// chip dropped who waited for it to be finalized while it was still being opened, and CAF drops the request
// whose handler throws. Whoever had asked waited for ever, `~System` among them.
//
// What is promised: each request has an owner that answers on every way out. Here every kind of actor is
// killed at every step of a system in which every kind of request is under way, and afterwards nobody waits.
#include <doctest/doctest.h>

#include <new>
#include <set>
#include <stdexcept>
#include <string>

#include "answers_on_every_way_out_scene.hpp"
#include "support/error_of.hpp"

using namespace troupe;
using namespace troupe::actors;
using test::Asker;
using test::error_of;
using test::Order;
using test::Scene;
using testing::Simulation;

namespace {

/// Kills the n-th actor of a name at every step (or every few, another few for each seed).
void kill_at_every_step(const std::string& victim, Scene::Kind kind, bool stop) {
  const std::size_t stride = kind == Scene::Kind::plain ? 3 : 7;
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    for (std::size_t nth = 0; nth < 3; ++nth) {
      bool more = true;
      for (std::size_t step = seed; more; step += stride) {
        Scene scene(kind, seed);
        scene.programs();
        scene.all_requests(stop);
        more = scene.steps(step);
        scene.kill(victim, nth);
        scene.end();
        const auto waits = scene.still_waits();
        const std::string when = stop ? ", while the node stops" : "";
        CHECK_MESSAGE(waits.empty(), victim, " ", nth, " killed at step ", step, " with seed ", seed, when,
                      ": ", waits);
        // The asker is left, and the node's worker is not.
        CHECK(scene.actors() == 1);
      }
    }
  }
}
void kill_everywhere(const std::string& victim) {
  for (const auto kind : {Scene::Kind::plain, Scene::Kind::configured, Scene::Kind::pod}) {
    CAPTURE(static_cast<int>(kind));
    kill_at_every_step(victim, kind, false);
    kill_at_every_step(victim, kind, true);
  }
}

/// The table of a scripted chip whose allocations throw.
platform::DeviceApi throwing(const platform::ScriptedChip& script) {
  auto api = script.api();
  api.device_malloc_ctx = [](troupe_device_context*, std::uint64_t, std::uint64_t*) -> std::int32_t {
    throw std::bad_alloc();
  };
  return api;
}

}  // namespace

TEST_CASE("nobody waits for ever when a chip is killed, in any state") { kill_everywhere("chip"); }
TEST_CASE("nobody waits for ever when a worker is killed, in any state") { kill_everywhere("worker"); }
TEST_CASE("nobody waits for ever when a sub-worker is killed, in any state") {
  kill_everywhere("sub-worker");
}
TEST_CASE("nobody waits for ever when a communicator is killed, in any state") {
  kill_everywhere("communicator");
}
TEST_CASE("nobody waits for ever when a run is killed, in any state") { kill_everywhere("run"); }
TEST_CASE("nobody waits for ever when a program is killed, in any state") { kill_everywhere("program"); }

TEST_CASE("a caller inside a program of its own is told when its run, or all above it, is killed") {
  for (const std::string victim : {"run", "worker"}) {
    CAPTURE(victim);
    Scene scene(Scene::Kind::plain, 0);
    auto x = scene.node().tensor<float>({4});
    const auto error = error_of([&] {
      scene.node().run([&](Orchestrator& n) {
        auto task = n.submit("wait", in(x));
        n.flush();
        scene.settle();
        scene.kill(victim, 0);
        task.wait();
      });
    });
    REQUIRE(error);
    CHECK_MESSAGE(*error == Errc::shut_down, error->what());
    scene.settle();
  }
}

TEST_CASE("a call that was left by an exception does not disturb the next one") {
  Simulation sim({.chips = 1});
  sim.kernel("stuck", [](auto& call) { call.hangs(); });
  sim.kernel("look", [](auto&) {});
  auto& node = sim.node();
  auto x = node.tensor<float>({4});
  // Nothing is left to do, and the caller waits: the deterministic system says so.
  const auto error =
      error_of([&] { node.run([&](Orchestrator& n) -> Program { co_await n.submit("stuck", in(x)); }); });
  REQUIRE(error);
  CHECK(*error == Errc::deadlock);
  sim.script().release_hung();
  // The end of that run is news for nobody, least of all for who runs the next one.
  node.run([&](Orchestrator& n) -> Program { co_await n.submit("look", in(x)); });
  CHECK(sim.ran("look") == 1);
}

TEST_CASE("a chip that is told to end while it is opened answers that, killed or not") {
  for (const bool killed : {false, true}) {
    Simulation sim({.chips = 1});
    auto& node = sim.node();
    std::multiset<std::string> open;
    auto asker = actor_system(sim.system()).spawn<Asker>(&open);
    const auto found = worker(node);
    Chip chip;
    caf::anon_send(asker, Order{[&](Asker& self) {
                     self.ask<Result<ChipAccess>>(found, ChipOf{0}, [&](Result<ChipAccess>& access) {
                       chip = access->chip;
                       // The reset lets it close its device, then it may be opened.
                       self.ask<Result<bool>>(chip, ResetChip{7}, [&](Result<bool>&) {
                         self.ask<Result<ExecutorInfo>>(chip, BringUp{});
                         self.ask<Result<bool>>(chip, ResetChip{8});
                         self.ask<Result<bool>>(chip, FinalizeChip{});
                         self.ask<Result<bool>>(chip, FinalizeChip{});
                         if (killed) caf::anon_send_exit(chip, caf::exit_reason::kill);
                       });
                     });
                   }});
    while (sim.steps(1000) > 0) {
    }
    CHECK_MESSAGE(open.empty(), open.size());
    chip = nullptr;
    caf::anon_send_exit(asker, caf::exit_reason::user_shutdown);
  }
}

TEST_CASE("a log sink that throws ends nobody") {
  int lines = 0;
  Handle handle;
  {
    Simulation sim({.chips = 2, .log = [&](int, std::string_view, std::string_view) {
                      ++lines;
                      throw std::runtime_error("the disk is full");
                    }});
    sim.kernel("look", [](auto&) {});
    sim.kernel("wait", [](auto& call) { call.waits(); });
    sim.fault(testing::kill_chip(1).of("look"));
    auto& node = sim.node();
    auto x = node.tensor<float>({4});
    node.run([&](Orchestrator& n) { n.submit("look", in(x), on_chip(1), retry(1)); });
    node.chip(0).reset();
    handle = node.submit([](Orchestrator& n, Tensor a) { n.submit("wait", in(a)); }, x);
    sim.steps(1000);
    sim.kill(0);
    CHECK(node.status().state == "up");
  }
  CHECK(lines > 0);
  CHECK(handle.done());
}

TEST_CASE("a call whose handler throws is answered with what was thrown, and the chip starts again") {
  const platform::ScriptedChip script;
  Simulation sim;
  NodeConfig config;
  // The first life's allocations throw.
  config.device = [script](int, std::uint32_t life) {
    return Result<platform::DeviceApi>(life == 0 ? throwing(script) : script.api());
  };
  const auto node = sim.system().node(config);
  const auto error = error_of([&] { (void)node.chip(0).malloc<float>({16}); });
  REQUIRE(error);
  CHECK(*error == Errc::chip_lost);
  CHECK_MESSAGE(error->message().find("there is no more memory") != std::string::npos, error->message());
  while (sim.steps(1000) > 0) {
  }
  CHECK(node.status().children[0].restarts == 1);
  (void)node.chip(0).malloc<float>({16});
}

TEST_CASE("a device factory that throws fails the bring-up with what it said") {
  for (const bool threads : {false, true}) {
    SystemConfig system_config;
    system_config.deterministic = !threads;
    system_config.log = [](int, std::string_view, std::string_view) {};
    const System system(system_config);
    NodeConfig config;
    config.device = [](int, std::uint32_t) -> Result<platform::DeviceApi> {
      throw std::runtime_error("the driver is not loaded");
    };
    const auto error = error_of([&] { (void)system.node(config); });
    REQUIRE(error);
    CHECK(*error == Errc::bootstrap_failed);
    CHECK_MESSAGE(error->message().find("the driver is not loaded") != std::string::npos, error->message());
  }
}

TEST_CASE("a device that cannot be opened for want of memory fails the bring-up, it does not hang it") {
  const platform::ScriptedChip script;
  Simulation sim;
  NodeConfig config;
  config.device = [script](int, std::uint32_t) -> Result<platform::DeviceApi> {
    auto api = script.api();
    api.set_device = [](troupe_device_context*, std::int32_t) -> std::int32_t { throw std::bad_alloc(); };
    return api;
  };
  const auto error = error_of([&] { (void)sim.system().node(config); });
  REQUIRE(error);
  CHECK(*error == Errc::bootstrap_failed);
  CHECK_MESSAGE(render(*error).find("there is no more memory") != std::string::npos, render(*error));
}

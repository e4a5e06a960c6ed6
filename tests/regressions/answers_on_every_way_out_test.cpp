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

#include <caf/scheduler/test_coordinator.hpp>
#include <functional>
#include <map>
#include <new>
#include <set>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <vector>

#include "support/error_of.hpp"
#include "troupe/actors/own_actors.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace std::chrono_literals;
using test::error_of;
using testing::Simulation;

namespace {

class Asker;
struct Order {
  std::function<void(Asker&)> what;
};

}  // namespace

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(Order)

namespace {

/// Asks, and knows what it has not been answered.
class Asker : public caf::event_based_actor {
 public:
  Asker(caf::actor_config& config, std::multiset<std::string>* open)
      : event_based_actor(config), open_(open) {}
  const char* name() const override { return "asker"; }
  caf::behavior make_behavior() override {
    return {[this](const Order& order) { order.what(*this); }};
  }

  template <class Answer, class Actor, class Question>
  void ask(const Actor& whom, Question question, std::function<void(Answer&)> then = {}) {
    // A name that tells the kinds apart is enough.
    const std::string name = typeid(Question).name();
    open_->insert(name);
    request(whom, caf::infinite, std::move(question))
        .then(
            [this, name, then = std::move(then)](Answer& answer) {
              open_->erase(open_->find(name));
              if (then) then(answer);
            },
            [this, name](const caf::error&) { open_->erase(open_->find(name)); });
  }

 private:
  std::multiset<std::string>* open_;
};

/// A chip of the script, one that a node may be given later.
ChipConfig chip_of(const platform::ScriptedChip& script, int device) {
  ChipConfig chip;
  chip.device_id = device;
  chip.device = [script](std::uint32_t) { return Result<platform::DeviceApi>(script.api()); };
  return chip;
}

DomainSpec domain_of_two() {
  DomainSpec spec;
  spec.chips = chips(0, 1);
  spec.buffers = {{"scratch", 4096}};
  return spec;
}

/// A node with a part of everything that actors do.
class Scene {
 public:
  explicit Scene(std::uint64_t seed) : sim_({.seed = seed}) {
    sim_.script().on("wait", [](auto& call) { call.waits(); });
    NodeConfig config;
    config.chips = 2;
    config.sub_workers = 1;
    config.max_runs = 3;
    config.device = [script = sim_.script()](int, std::uint32_t) {
      return Result<platform::DeviceApi>(script.api());
    };
    node_ = std::make_unique<Node>(sim_.system().node(config));
    worker_ = worker(*node_);
    node_->add_kernel("wait");
    node_->add_function("nothing", [](HostArgs&) {});
    x_ = node_->tensor<float>({4});
    asker_ = actor_system(sim_.system()).spawn<Asker>(&open_);
  }
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;
  ~Scene() {
    worker_ = nullptr;
    caf::anon_send_exit(asker_, caf::exit_reason::user_shutdown);
    asker_ = nullptr;
  }

  /// Programs that wait for tasks, domains, peers at a barrier.
  void programs() {
    handles_.push_back(node_->submit(
        [](Orchestrator& n, Tensor a) -> Program {
          auto domain = co_await n.allocate_domain(domain_of_two());
          n.submit("wait", in(a), on_chip(0));
          co_await n.barrier(domain, 0);
        },
        x_));
    handles_.push_back(node_->submit(
        [](Orchestrator& n, Tensor a) -> Program {
          for (int i = 0; i < 4; ++i) n.submit_sub("nothing", inout(a));
          co_await n.submit("wait", inout(a), on_chip(1));
        },
        x_));
  }

  void all_requests(bool stop) {
    order([this](Asker& asker) {
      asker.ask<ExecutorStatus>(worker_, GetStatus{});
      asker.ask<std::string>(worker_, Why{1, 1});
      for (int i = 0; i < 3; ++i) {
        OpenRun open;
        auto outcome = open.outcome = std::make_shared<RunOutcome>();
        // Nobody drives it: it lasts until its worker ends.
        asker.ask<Result<RunOpened>>(worker_, std::move(open), [this, outcome](Result<RunOpened>& opened) {
          if (opened) outcomes_.push_back(outcome);
        });
      }
      asker.ask<Result<bool>>(worker_, StoreBuffers{});
      asker.ask<Result<std::int32_t>>(worker_, AddExecutor{chip_of(sim_.script(), 2)});
      asker.ask<Result<std::int32_t>>(worker_, AddExecutor{SubWorkerConfig{}});
      asker.ask<Result<DomainInfo>>(worker_, AllocateDomain{1, domain_of_two()});
      asker.ask<Result<ChipAccess>>(worker_, ChipOf{0}, [&asker](Result<ChipAccess>& found) {
        if (!found) return;
        const auto chip = found->chip;
        const auto life = found->incarnation;
        WindowCreate window;
        window.spec.bytes = 1U << 20U;
        window.spec.rank_count = 1;
        window.incarnation = life;
        asker.ask<Result<WindowOffer>>(chip, window);
        asker.ask<Result<std::uint64_t>>(chip, DeviceMalloc{1U << 20U, life},
                                         [&asker, chip, life](Result<std::uint64_t>& made) {
                                           if (!made) return;
                                           static std::vector<std::byte> host(1U << 20U);
                                           const DeviceCopy copy{true, *made, host.data(), host.size(), life};
                                           asker.ask<Result<bool>>(chip, copy);
                                           asker.ask<Result<bool>>(chip, DeviceFree{*made, life});
                                         });
        asker.ask<Result<ExecutorInfo>>(chip, BringUp{});
      });
      asker.ask<Result<bool>>(worker_, ResetExecutor{0});
      asker.ask<Result<bool>>(worker_, ResetExecutor{0});
      asker.ask<Result<bool>>(worker_, RemoveExecutor{1});
    });
    if (stop) this->stop();
  }
  void stop() {
    order([this](Asker& asker) { asker.ask<bool>(worker_, StopWorker{}); });
  }
  void order(std::function<void(Asker&)> what) { caf::anon_send(asker_, Order{std::move(what)}); }

  /// So many steps; false: there was nothing left to do before.
  bool steps(std::size_t most) {
    for (std::size_t i = 0; i < most; ++i) {
      look_around();
      if (sim_.steps(1) == 0) return false;
    }
    look_around();
    return true;
  }
  void settle() {
    while (steps(1)) {
    }
  }
  /// The n-th actor of this name, if there is one.
  void kill(const std::string& name, std::size_t n) {
    for (const auto& [id, actor] : seen_) {
      auto strong = actor.first == name ? caf::actor_cast<caf::strong_actor_ptr>(actor.second) : nullptr;
      if (!strong || n-- > 0) continue;
      caf::anon_send_exit(strong, caf::exit_reason::kill);
      return;
    }
  }
  void end() {
    settle();
    for (const auto& handle : handles_) handle.cancel();
    settle();
    stop();
    settle();
    sim_.advance(10s);
    settle();
  }
  /// Who has not been answered; empty: nobody waits.
  std::string still_waits() const {
    std::string text;
    for (const auto& name : open_) text += name + " ";
    for (const auto& handle : handles_) text += handle.done() ? "" : "a submitted program ";
    for (const auto& outcome : outcomes_) text += outcome->done() ? "" : "a run of its own driver ";
    return text;
  }
  std::size_t actors() const { return sim_.actors(); }
  Node& node() { return *node_; }

 private:
  /// Whoever has something to do has a job with the scheduler.
  void look_around() {
    auto& scheduler =
        dynamic_cast<caf::scheduler::test_coordinator&>(actor_system(sim_.system()).scheduler());
    for (auto* job : scheduler.jobs) {
      auto* actor = dynamic_cast<caf::local_actor*>(job);
      if (actor == nullptr) continue;
      seen_[actor->id()] = {actor->name(), caf::actor_cast<caf::weak_actor_ptr>(actor->address())};
    }
  }

  Simulation sim_;
  std::unique_ptr<Node> node_;
  Worker worker_;
  Tensor x_;
  std::multiset<std::string> open_;
  caf::actor asker_;
  std::vector<Handle> handles_;
  std::vector<std::shared_ptr<RunOutcome>> outcomes_;
  std::map<caf::actor_id, std::pair<std::string, caf::weak_actor_ptr>> seen_;
};

/// Kills the n-th actor of a name at every step (or every few, another few for each seed).
void kill_at_every_step(const std::string& victim, bool stop) {
  constexpr std::size_t stride = 3;
  for (std::uint64_t seed = 0; seed < stride; ++seed) {
    for (std::size_t nth = 0; nth < 2; ++nth) {
      bool more = true;
      for (std::size_t step = seed; more; step += stride) {
        Scene scene(seed);
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

/// The table of a scripted chip whose allocations throw.
platform::DeviceApi throwing(const platform::ScriptedChip& script) {
  auto api = script.api();
  api.device_malloc_ctx = [](troupe_device_context*, std::uint64_t, std::uint64_t*) -> std::int32_t {
    throw std::bad_alloc();
  };
  return api;
}

}  // namespace

TEST_CASE("nobody waits for ever when a chip is killed, in any state") {
  kill_at_every_step("chip", false);
  kill_at_every_step("chip", true);
}
TEST_CASE("nobody waits for ever when a worker is killed, in any state") {
  kill_at_every_step("worker", false);
  kill_at_every_step("worker", true);
}
TEST_CASE("nobody waits for ever when a sub-worker is killed, in any state") {
  kill_at_every_step("sub-worker", false);
  kill_at_every_step("sub-worker", true);
}
TEST_CASE("nobody waits for ever when a communicator is killed, in any state") {
  kill_at_every_step("communicator", false);
  kill_at_every_step("communicator", true);
}
TEST_CASE("nobody waits for ever when a run is killed, in any state") {
  kill_at_every_step("run", false);
  kill_at_every_step("run", true);
}
TEST_CASE("nobody waits for ever when a program is killed, in any state") {
  kill_at_every_step("program", false);
  kill_at_every_step("program", true);
}

TEST_CASE("a caller inside a program of its own is told when its run, or all above it, is killed") {
  for (const std::string victim : {"run", "worker"}) {
    CAPTURE(victim);
    Scene scene(0);
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
  CHECK_MESSAGE(error->message().find("bad_alloc") != std::string::npos, error->message());
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

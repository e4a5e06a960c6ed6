// A deadline's timer kept its run until the deadline came, with every buffer of the run, long after the run
// had ended; and when that was mended, still a run that was killed with tasks under way, whose buffers wait
// for those tasks. So did the timers of chips and sub-workers that had gone. And a deadline of
// nanoseconds::max(), for ever, was added to the time of day, came out in the past, and failed at once; so
// did waiting for so long.
//
// Promised now: a timer ends with its actor, so what has ended lets go of its buffers, whatever was still to
// come; and what is too long for the clock is for ever.
#include <doctest/doctest.h>

#include "run/deadlines.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/actors/own_actors.hpp"
#include "troupe/actors/run_outcome.hpp"
#include "troupe/platform/manual_host.hpp"
#include "troupe/runtime/longest_wait.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;

namespace {

class Watched final : public actors::BufferHold {
 public:
  explicit Watched(int& alive) : alive_(alive) { ++alive_; }
  ~Watched() override { --alive_; }

 private:
  int& alive_;
};

constexpr auto for_ever = std::chrono::nanoseconds::max();

void settle(testing::Simulation& sim) {
  while (sim.steps(1000) > 0) {
  }
}

}  // namespace

TEST_CASE("a run that has ended keeps no buffer for the sake of a deadline that has not come") {
  int alive = 0;
  float memory = 0;
  testing::Simulation sim({.chips = 1});
  sim.kernel("step", [](auto& call) { call.template tensor<float>(0)[0] += 1; });
  auto& node = sim.node();
  for (const auto limit : {0s, 60s}) {
    for (const auto whole : {0s, 3600s}) {
      Tensor x(runtime::Tensor::host(&memory, {1}), std::make_shared<Watched>(alive));
      auto run = node.submit(
          {.deadline = whole},
          [limit](Orchestrator& n, Tensor y) {
            if (limit > 0s) {
              n.submit("step", inout(y), deadline(limit));
            } else {
              n.submit("step", inout(y));
            }
          },
          std::move(x));
      while (!run.done()) REQUIRE(sim.steps(1) == 1);
      x = {};
      settle(sim);
      CHECK(run.result());
      CHECK(alive == 0);
    }
  }
  CHECK(memory == 4.0F);
}

TEST_CASE("a run that was killed lets go of its buffers with its last task, whatever deadline it had") {
  int alive = 0;
  float memory = 0;
  testing::Simulation sim({.chips = 1});
  sim.kernel("wait", [](auto& call) { call.waits(); });
  NodeConfig config{.name = "killed", .chips = 1};
  config.device = [script = sim.script()](int, std::uint32_t) {
    return Result<platform::DeviceApi>(script.api());
  };
  for (const auto limit : {0s, 60s}) {
    auto node = sim.system().node(config);
    node.add_kernel("wait");
    Tensor x(runtime::Tensor::host(&memory, {1}), std::make_shared<Watched>(alive));
    auto run = node.submit(
        {.deadline = 3600s},
        [limit](Orchestrator& n, Tensor y) -> Program {
          if (limit > 0s) {
            n.submit("wait", inout(y), deadline(limit));
          } else {
            n.submit("wait", inout(y));
          }
          co_return;
        },
        std::move(x));
    x = {};
    settle(sim);
    CHECK(alive == 1);
    caf::anon_send_exit(actors::worker(node), caf::exit_reason::kill);
    settle(sim);
    REQUIRE(run.done());
    CHECK(run.result().error() == actors::Errc::shut_down);
    CHECK(alive == 0);
  }
}

TEST_CASE("a chip that has gone is not kept until the grace of what it gave up is over") {
  testing::Simulation sim({.chips = 1});
  sim.kernel("wait", [](auto& call) { call.waits(); });
  auto& node = sim.node();
  ChipConfig config;
  config.device_id = 7;
  config.abort_grace = 3600s;
  config.device = [script = sim.script()](std::uint32_t) {
    return Result<platform::DeviceApi>(script.api());
  };
  const int added = node.add_executor(config);
  caf::weak_actor_ptr chip;
  actors::actor_system(sim.system()).spawn([&](caf::event_based_actor* self) {
    self->request(actors::worker(node), caf::infinite, actors::ChipOf{added})
        .then([&](Result<actors::ChipAccess>& found) {
          chip = caf::actor_cast<caf::weak_actor_ptr>(found.value().chip.address());
        });
  });
  settle(sim);
  REQUIRE(chip.lock());
  auto run = node.submit([added](Orchestrator& n) -> Program {
    n.submit("wait", on_chip(added));
    co_return;
  });
  settle(sim);
  run.cancel();  // the kernel is asked to end, and given up when the grace is over
  CHECK(run.result().error() == actors::Errc::cancelled);
  node.remove_executor(added);
  settle(sim);
  CHECK_FALSE(chip.lock());
}

TEST_CASE("deadlines for ever do not come") {
  testing::Simulation sim({.chips = 1});
  sim.kernel("step", [](auto& call) { call.template tensor<float>(0)[0] += 1; });
  auto& node = sim.node();
  auto x = node.tensor<float>({1});
  auto program = [](Orchestrator& n, Tensor y) { n.submit("step", inout(y), deadline(for_ever)); };
  node.run({.deadline = for_ever}, program, x);
  auto run = node.submit({.deadline = for_ever}, program, x);
  CHECK(run.wait(for_ever));
  CHECK(run.result());
  CHECK(x.host<const float>()[0] == 2.0F);
  sim.advance(1h);
}

TEST_CASE("a deadline still comes, and no earlier one is missed for a later one") {
  actors::Deadlines<int> deadlines;
  auto nobody = [](actors::TaskNumber) { return false; };
  deadlines.add(1, 50);
  CHECK(deadlines.timer(nobody) == 50);
  deadlines.add(2, 70);
  CHECK_FALSE(deadlines.timer(nobody));  // the one for 50 will tell
  deadlines.add(3, 20);
  CHECK(deadlines.timer(nobody) == 20);
  CHECK(deadlines.due(20) == std::vector<actors::TaskNumber>{3});
  CHECK(deadlines.timer(nobody) == 50);
  auto all_over = [](actors::TaskNumber) { return true; };
  CHECK(deadlines.due(50) == std::vector<actors::TaskNumber>{1});
  CHECK_FALSE(deadlines.timer(all_over));
  CHECK(deadlines.size() == 0);
}

TEST_CASE("waits of any unit are bounded, not wrapped") {
  using runtime::bounded;
  CHECK(bounded(for_ever) == runtime::longest_wait);
  CHECK(bounded(std::chrono::milliseconds::max()) == runtime::longest_wait);
  CHECK(bounded(std::chrono::hours::max()) == runtime::longest_wait);
  CHECK(bounded(std::chrono::hours::min()) < 0ns);
  CHECK(bounded(1500ms) == 1500ms);
  CHECK(std::chrono::steady_clock::now() + bounded(for_ever) > std::chrono::steady_clock::now());
}

TEST_CASE("a clock that is told to go on for ever stands at its end") {
  platform::ManualHost host;
  host.advance(10);
  host.advance(UINT64_MAX);
  CHECK(host.now() == UINT64_MAX);
}

// A chip's tasks are answered `lost` only when its device can write no more, which the chip's actor says as
// its last word. When a chip was restarted and the restart failed, another actor took over at once, and the
// last word of the one that had failed was booked on it: the next death of that chip waited for nothing, its
// tasks were answered while its device was still busy, and two contexts of one device were open.
// Now a last word counts for the actor whose it is, and the next life begins after it, whatever the former
// one ended of.
#include <doctest/doctest.h>

#include <vector>

#include "troupe/actors/own_actors.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using namespace std::chrono_literals;
using testing::Simulation;

namespace {

constexpr std::uint32_t large = 4U << 20U;

/// A copy that keeps a chip's context busy from its begin until the host takes another step.
void begin_long_copy(Simulation& sim, const Tensor& device, std::vector<std::uint8_t>& host) {
  actors::DeviceCopy copy;
  copy.address = device.description().buffer().offset;
  copy.host = host.data();
  copy.bytes = host.size();
  auto begin = [worker = actors::worker(sim.node()), copy](caf::event_based_actor* self) {
    self->request(worker, caf::infinite, actors::ChipOf{0})
        .then([self, copy](const Result<actors::ChipAccess>& access) mutable {
          if (!access) return;  // it is dead already
          copy.incarnation = access.value().incarnation;
          self->request(access.value().chip, caf::infinite, copy).then([](const Result<bool>&) {});
        });
  };
  actors::actor_system(sim.system()).spawn(begin);
}

/// Steps until `chip0` is up again; at no step has its device more than one context.
void settle(Simulation& sim, std::uint32_t restarts) {
  for (int i = 0; i < 100'000 && sim.steps(1) == 1; ++i) REQUIRE(sim.script().live_contexts() <= 1);
  const auto status = sim.node().status().children[0];
  CHECK(status.restarts == restarts);
  CHECK(status.state == "up");
}

/// Looks, when a buffer is handed back, whether a device is still open that may write it.
class Watched final : public actors::BufferHold {
 public:
  Watched(std::shared_ptr<actors::BufferHold> of, platform::ScriptedChip script, std::size_t& open)
      : of_(std::move(of)), script_(std::move(script)), open_(open) {}
  ~Watched() override { open_ = script_.live_contexts(); }

 private:
  std::shared_ptr<actors::BufferHold> of_;
  platform::ScriptedChip script_;
  std::size_t& open_;
};

}  // namespace

TEST_CASE("a death after a restart that failed waits for its device like any other") {
  std::vector<std::uint8_t> host(large);
  for (std::uint64_t seed = 0; seed <= 60; ++seed) {
    CAPTURE(seed);
    Simulation sim({.seed = seed, .chips = 1, .restart = {20, 10s}});
    sim.kernel("wait", [](auto& call) { call.waits(); });
    auto& node = sim.node();
    // The second life does not come up; the third does.
    sim.fault(testing::fail_call("set_device", 0).with("no power"));
    sim.kill(0);
    settle(sim, 2);
    auto device = node.chip(0).malloc<std::uint8_t>({large});
    auto x = node.tensor<float>({1});
    auto handle = node.submit([](Orchestrator& n, Tensor a) { n.submit("wait", inout(a)); }, x);
    sim.steps(200);
    begin_long_copy(sim, device, host);
    sim.steps(static_cast<std::size_t>(seed % 8));
    // The copy may be under way by now. Its chip dies.
    sim.kill(0);
    settle(sim, 3);
    REQUIRE(handle.done());
    CHECK(handle.result().error() == actors::Errc::chip_lost);
  }
}

TEST_CASE("a restart that fails with the device open closes it before the next one opens it") {
  comm::ChipBootstrapConfig alone;
  alone.comm = comm::ChipCommBootstrapConfig{0, 1, "here", 4096};
  for (std::uint64_t seed = 0; seed <= 60; ++seed) {
    CAPTURE(seed);
    Simulation sim({.seed = seed, .chips = 1, .restart = {20, 10s}, .chip_bootstrap_configs = {alone}});
    (void)sim.node();
    sim.fault(testing::fail_call("window_create", 0).with("no room"));
    sim.kill(0);
    settle(sim, 2);
    CHECK(sim.node().chip_contexts().size() == 1);
  }
}

TEST_CASE("a system that ends waits for a chip that died just before, too") {
  std::vector<std::uint8_t> host(large);
  for (std::uint64_t seed = 0; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::size_t open = 99;
    {
      // The first ones in the order of events, with the death a step later each.
      Simulation sim({.seed = seed < 20 ? 0 : seed, .chips = 1});
      sim.kernel("wait", [](auto& call) { call.waits(); });
      auto& node = sim.node();
      const auto device = node.chip(0).malloc<std::uint8_t>({large});
      const auto x = node.tensor<float>({1});
      const Tensor watched(x.description(), std::make_shared<Watched>(x.hold(), sim.script(), open));
      (void)node.submit([](Orchestrator& n, Tensor a) { n.submit("wait", inout(a)); }, watched);
      sim.steps(200);
      begin_long_copy(sim, device, host);
      sim.steps(static_cast<std::size_t>(seed % 20));
      sim.kill(0);
    }
    CHECK(open == 0);
  }
}

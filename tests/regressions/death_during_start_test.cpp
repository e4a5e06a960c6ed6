// While a node came up, the death of a chip that had come up before the others was overlooked: the node said
// "up", and whatever was sent to that chip waited for ever. All come up or none: the bring-up fails with the
// name of the chip that died.
#include <doctest/doctest.h>

#include "support/error_of.hpp"
#include "system/core.hpp"
#include "troupe/actors/own_actors.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using test::error_of;
using testing::Simulation;

namespace {

/// Kills chip 0 of a node that is being brought up, as soon as there is one.
void kill_when_up(caf::event_based_actor* self, const actors::Worker& worker) {
  self->request(worker, caf::infinite, actors::ChipOf{0})
      .then(
          [self, worker](const Result<actors::ChipAccess>& access) {
            if (!access) return kill_when_up(self, worker);
            self->send_exit(access->chip, caf::exit_reason::kill);
          },
          [](const caf::error&) {});
}

}  // namespace

TEST_CASE("a chip that dies while its siblings still start fails the bring-up by name, or is restarted") {
  int failed = 0;
  for (std::uint64_t seed = 0; seed <= 100; ++seed) {
    CAPTURE(seed);
    Simulation sim({.seed = seed});
    sim.script().on("step", [](auto&) {});
    NodeConfig config;
    config.chips = 3;
    // Chip 0 comes up by itself, the others when they have formed a communicator.
    config.chip_bootstrap_configs.resize(3);
    for (int rank = 0; rank < 2; ++rank) {
      config.chip_bootstrap_configs[static_cast<std::size_t>(rank) + 1].comm =
          comm::ChipCommBootstrapConfig{rank, 2, "here", 4096};
    }
    bool armed = false;
    config.device = [&sim, &armed](int, std::uint32_t) {
      if (!std::exchange(armed, true)) {
        const auto worker = actors::SystemAccess::core(sim.system()).nodes.back()->worker;
        actors::actor_system(sim.system()).spawn([worker](caf::event_based_actor* self) {
          kill_when_up(self, worker);
        });
      }
      return Result<platform::DeviceApi>(sim.script().api());
    };
    std::optional<Node> node;
    if (const auto error = error_of([&] { node = sim.system().node(config); })) {
      ++failed;
      CHECK(*error == actors::Errc::bootstrap_failed);
      CHECK_MESSAGE(error->message().find("chip 0 bootstrap failed: ") == 0, error->message());
      continue;
    }
    node->add_kernel("step");
    auto x = node->tensor<float>({1});
    node->run([](Orchestrator& n, Tensor a) { n.submit("step", out_existing(a), on_chip(0), retry(1)); }, x);
    CHECK(node->status().children[0].restarts == 1);
  }
  CHECK(failed > 0);
}

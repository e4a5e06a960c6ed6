// Plans whose inputs or outputs were only on a chip that dies: what tasks before a replay wrote is made again
// for it, and what a replay wrote by another one, as long as what that reads is what it was.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "actors/plan/layer.hpp"
#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::error_of;
using test::expected;
using test::holds;
using test::layer;
using test::size;
using test::with_kernels;
using testing::Simulation;

namespace {

Simulation& with_look(Simulation& sim) {
  with_kernels(sim).kernel("look", [](auto&) {});
  return sim;
}

/// The layer, on chip 0.
void layer_on_first(Orchestrator& node, Tensor x, Tensor y, Slot<float> r) {
  auto sum = node.alloc<float>({size});
  node.submit("add", in(x), in(x), out(sum), on_chip(0));
  node.submit("scale", inout(sum), scalar(r), on_chip(0));
  node.submit("add", in(sum), in(sum), out(y), on_chip(0));
}

/// Chip 0 dies under this, and has nothing else to do then.
void die(Orchestrator& n, Tensor flag) {
  n.drain();
  n.submit("look", in(flag), on_chip(0), retry(1));
  n.drain();
}

/// Nodes of which chip 0 dies in its next task "look".
struct Dying {
  explicit Dying(std::uint64_t seed, int chips = 2)
      : sim({.seed = seed, .chips = static_cast<actors::Count>(chips), .credit = 2}),
        node(with_look(sim).node()) {
    sim.fault(testing::kill_chip(0).of("look"));
  }
  Simulation sim;
  Node& node;
  Tensor x = node.tensor<float>({size}, 3), y = node.tensor<float>({size}), z = node.tensor<float>({size}),
         flag = node.tensor<float>({1});
};

}  // namespace

TEST_CASE("a replay whose input was only on a chip that died reads what its writer has made again") {
  for (const std::uint64_t seed : {0, 1, 2, 3, 4, 5}) {
    for (const int chips : {1, 2}) {
      CAPTURE(seed);
      CAPTURE(chips);
      Simulation sim({.seed = seed, .chips = static_cast<actors::Count>(chips), .credit = 2});
      auto& node = with_look(sim).node();
      auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size}), flag = node.tensor<float>({1});
      const auto plan = node.record(layer_on_first, x, y, 0.5f);
      const auto sets = sim.ran("set");
      sim.fault(testing::kill_chip(0).of("look"));
      const auto report = node.submit(
                                  [&](Orchestrator& n, Tensor a, Tensor b, Tensor it) {
                                    n.submit("set", out(a), scalar(5.0f), on_chip(0));
                                    die(n, it);
                                    n.submit(plan, in(a), out(b), 2.0f);
                                  },
                                  x, y, flag)
                              .report();
      CHECK_FALSE(report.error);
      CHECK(report.made_again == 1);
      CHECK(sim.ran("set") == sets + 2);
      CHECK(y.host<const float>()[0] == 5 * 2 * 2 * 2);
      CHECK(x.host<const float>()[0] == 5);
    }
  }
}

TEST_CASE(
    "a chip that dies in a replay takes its input along, which is made again before the replay is tried "
    "again") {
  for (const std::uint64_t seed : {0, 1, 2, 3, 4, 5}) {
    for (std::uint64_t at = 2; at <= 4; ++at) {
      CAPTURE(seed);
      CAPTURE(at);
      Simulation sim({.seed = seed, .chips = 2, .credit = 2});
      auto& node = with_look(sim).node();
      auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size});
      const auto plan = node.record(layer_on_first, x, y, 0.5f);
      const auto sets = sim.ran("set"), adds = sim.ran("add");
      // The first kernel is the writer's, those behind it are the replay's.
      sim.fault(testing::kill_chip(0).at(at));
      const auto report = node.submit(
                                  [&](Orchestrator& n, Tensor a, Tensor b) {
                                    n.submit("set", out(a), scalar(5.0f), on_chip(0));
                                    n.submit(plan, in(a), out(b), 2.0f, retry(2), idempotent);
                                  },
                                  x, y)
                              .report();
      CHECK_FALSE(report.error);
      CHECK(report.made_again == 1);
      CHECK(sim.ran("set") == sets + 2);
      CHECK(sim.ran("add") == adds + (at == 2 ? 2 : 3));  // without those that the chip took along
      CHECK(y.host<const float>()[0] == 5 * 2 * 2 * 2);
    }
  }
}

TEST_CASE("an input of a replay that cannot be made again is lost, and the next replay is right") {
  for (const std::uint64_t seed : {0, 1, 2, 3}) {
    CAPTURE(seed);
    Dying dying(seed);
    auto& [sim, node, x, y, z, flag] = dying;
    const auto plan = node.record(layer_on_first, x, y, 0.5f);
    const auto error = error_of([&] {
      node.run(
          [&](Orchestrator& n, Tensor a, Tensor b, Tensor it) {
            n.submit("scale", inout(a), scalar(5.0f), on_chip(0));  // in place: not twice
            die(n, it);
            n.submit(plan, in(a), out(b), 2.0f);
          },
          x, y, flag);
    });
    REQUIRE(error);
    CHECK(*error == Errc::data_lost);
    CHECK(error->message().find("\"scale\"") != std::string::npos);
    x.overwrite<float>();
    for (auto& element : x.host<float>()) element = 7;
    node.run(plan, x, y, 2.0f);
    CHECK(y.host<const float>()[0] == 7 * 2 * 2 * 2);
  }
}

TEST_CASE("what a replay wrote and only a dead chip had is made again by a replay") {
  for (const std::uint64_t seed : {0, 1, 2, 3, 4, 5}) {
    for (const int chips : {1, 2}) {
      CAPTURE(seed);
      CAPTURE(chips);
      Dying dying(seed, chips);
      auto& [sim, node, x, y, z, flag] = dying;
      const auto plan = node.record(layer_on_first, x, y, 0.5f);
      const auto scales = sim.ran("scale");
      const auto report = node.submit(
                                  [&](Orchestrator& n, Tensor a, Tensor b, Tensor c, Tensor it) {
                                    n.submit(plan, in(a), out(b), 2.0f);
                                    die(n, it);
                                    n.submit("add", in(b), in(b), out(c), on_chip(chips - 1));
                                  },
                                  x, y, z, flag)
                              .report();
      CHECK_FALSE(report.error);
      CHECK(report.made_again == 1);
      CHECK(sim.ran("scale") == scales + 2);
      CHECK(z.host<const float>()[0] == 2 * (3 * 2 * 2 * 2));
      CHECK(y.host<const float>()[0] == 3 * 2 * 2 * 2);
    }
  }
}

TEST_CASE("what a replay wrote is made again as often as it is lost") {
  for (const std::uint64_t seed : {0, 1, 2, 3, 4, 5}) {
    CAPTURE(seed);
    Dying dying(seed, 1);
    auto& [sim, node, x, y, z, flag] = dying;
    const auto plan = node.record(layer_on_first, x, y, 0.5f);
    sim.fault(testing::kill_chip(0).of("look").at(3));  // the second is the first's other try
    const auto report = node.submit(
                                [&](Orchestrator& n, Tensor a, Tensor b, Tensor c, Tensor it) {
                                  n.submit(plan, in(a), out(b), 2.0f);
                                  die(n, it);
                                  n.submit("add", in(b), in(b), out(c), on_chip(0));
                                  die(n, it);
                                  n.submit("add", in(b), in(b), out(c), on_chip(0));
                                },
                                x, y, z, flag)
                            .report();
    CHECK_FALSE(report.error);
    CHECK(report.made_again == 3);  // the second time with what was made of it
    CHECK(z.host<const float>()[0] == 2 * (3 * 2 * 2 * 2));
  }
}

TEST_CASE("what a replay wrote is lost, by name, when what it read has changed since") {
  for (const std::uint64_t seed : {0, 1, 2, 3}) {
    CAPTURE(seed);
    Dying dying(seed);
    auto& [sim, node, x, y, z, flag] = dying;
    const auto plan = node.record(name("layer"), layer_on_first, x, y, 0.5f);
    const auto error = error_of([&] {
      node.run(
          [&](Orchestrator& n, Tensor a, Tensor b, Tensor c, Tensor it) {
            n.submit(plan, in(a), out(b), 2.0f);
            n.submit("scale", inout(a), scalar(1.0f), on_chip(1));
            die(n, it);
            n.submit("add", in(b), in(b), out(c), on_chip(1));
          },
          x, y, z, flag);
    });
    REQUIRE(error);
    CHECK(*error == Errc::data_lost);
    CHECK(error->message().find("layer") != std::string::npos);
    node.run(
        [&](Orchestrator& n, Tensor a, Tensor b, Tensor c) {
          n.submit(plan, in(a), out(b), 2.0f);
          n.submit("add", in(b), in(b), out(c), on_chip(1));
        },
        x, y, z);
    CHECK(z.host<const float>()[0] == 2 * (3 * 2 * 2 * 2));
  }
}

TEST_CASE(
    "replays in a row survive the death of their chip where each is tried again from what the host has") {
  for (const std::uint64_t seed : {0, 1, 2, 3}) {
    for (std::uint64_t at = 1; at <= 9; ++at) {
      CAPTURE(seed);
      CAPTURE(at);
      Simulation sim({.seed = seed, .chips = 1, .credit = 2});
      auto& node = with_look(sim).node();
      auto x = node.tensor<float>({size}, 3), y = node.tensor<float>({size});
      const auto plan = node.record(layer, x, y, 0.5f);
      sim.fault(testing::kill_chip(0).at(at));
      std::vector<Tensor> outputs;
      node.run([&](Orchestrator& n) {
        for (int i = 1; i <= 3; ++i) {
          outputs.push_back(node.tensor<float>({size}));
          n.submit(plan, x, outputs.back(), static_cast<float>(i), retry(3), idempotent);
          (void)n.read<float>(outputs.back()).get();  // at home from here on
        }
      });
      for (std::size_t i = 0; i < outputs.size(); ++i) CHECK(holds(outputs[i], 3, static_cast<float>(i + 1)));
    }
  }
}

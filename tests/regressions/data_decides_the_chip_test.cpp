// A task that was bound to no chip went to where its producer was queued, although a tensor of it lay in the
// memory of another chip, which refused it: every time. In-order dispatch overruled where data is.
//
// Promised now: a task with a tensor on a chip runs there.
#include <doctest/doctest.h>

#include "troupe/testing.hpp"

using namespace troupe;

namespace {

/// `fill` on one chip, then `add` of a tensor that lives on the other.
float added(const Node& node, const Tensor& device) {
  auto x = node.tensor<float>({1});
  node.run([&](Orchestrator& program) {
    program.submit("fill", out(x), scalar(2.0F), on_chip(0));
    program.submit("add", in(device), inout(x));
  });
  return x.host<const float>()[0];
}

}  // namespace

TEST_CASE("a task goes to the chip that has its tensor, wherever its producer is queued") {
  testing::Simulation sim({.chips = 2});
  sim.kernel("fill", [](auto& call) { call.template tensor<float>(0)[0] = call.template scalar<float>(0); });
  sim.kernel("add",
             [](auto& call) { call.template tensor<float>(1)[0] += call.template tensor<float>(0)[0]; });
  auto& node = sim.node();
  auto device = node.chip(1).malloc<float>({1});
  node.chip(1).copy_to(device, node.tensor<float>({1}, 40.0F));
  CHECK(added(node, device) == 42.0F);
  CHECK(sim.ran_on(0) == 1);
  CHECK(sim.ran_on(1) == 1);
}

TEST_CASE("so does a group of one") {
  testing::Simulation sim({.chips = 2});
  sim.kernel("fill", [](auto& call) { call.template tensor<float>(0)[0] = call.template scalar<float>(0); });
  auto& node = sim.node();
  auto device = node.chip(1).malloc<float>({1});
  node.run([&](Orchestrator& program) {
    std::vector<Args> members;
    members.push_back(args(out_existing(device), scalar(1.0F)));
    program.submit_group("fill", std::move(members));
  });
  CHECK(sim.ran_on(1) == 1);
}

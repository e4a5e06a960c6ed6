#include <doctest/doctest.h>

#include <numeric>

#include "troupe/platform/scripted_chip.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;
using platform::ScriptedCall;
using platform::ScriptedChip;

namespace {

ScriptedChip adding_chip() {
  ScriptedChip chip;
  chip.on("vector_add", [](ScriptedCall& call) {
    auto a = call.tensor<float>(0), b = call.tensor<float>(1), c = call.tensor<float>(2);
    for (std::size_t i = 0; i < c.size(); ++i) c[i] = a[i] + b[i];
  });
  chip.on("increment", [](ScriptedCall& call) {
    auto x = call.tensor<float>(0);
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += 1.0F;
  });
  return chip;
}

NodeConfig scripted(const ScriptedChip& chip, int chips) {
  NodeConfig config;
  config.chips = chips;
  config.device = [chip](int, std::uint32_t) { return Result<platform::DeviceApi>(chip.api()); };
  return config;
}

Node adding_node(System& system, int chips = 2) {
  auto node = system.node(scripted(adding_chip(), chips));
  node.add_kernel("vector_add");
  node.add_kernel("increment");
  return node;
}

void add_on_two_chips(Orchestrator& node, Tensor sum) {
  auto a = node.tensor<float>({16, 16}, 2.0F);
  auto b = node.tensor<float>({16, 16}, 3.0F);
  for (int chip : {0, 1}) {
    auto c = node.alloc<float>({16, 16});
    node.submit("vector_add", in(a), in(b), out(c), on_chip(chip));
    node.submit_sub(
        [](HostArgs& args) {
          auto total = args.tensor<float>(1);
          for (float x : args.tensor<float>(0).span()) total[0] += x;
        },
        in(c), inout(sum));
  }
}

Program count_to(Orchestrator& node, Tensor x, float limit) {
  for (;;) {
    node.submit("increment", inout(x));
    const float now = co_await node.read<float>(x);
    if (now >= limit) co_return;
  }
}

}  // namespace

TEST_CASE("a plain program runs on two chips and the host checks by data dependency alone") {
  System system;
  auto node = adding_node(system);
  auto sum = node.tensor<float>({1});
  node.run(add_on_two_chips, sum);
  CHECK(sum.host<float>()[0] == 2 * 256 * 5.0F);
}

TEST_CASE("a coroutine reacts to what it reads") {
  System system;
  auto node = adding_node(system);
  auto x = node.tensor<float>({8});
  node.run(count_to, x, 5.0F);
  CHECK(x.host<float>()[0] == 5.0F);
  auto handle = node.submit(count_to, x, 9.0F);
  handle.get();
  CHECK(x.host<float>()[7] == 9.0F);
}

TEST_CASE("a chain of many tasks gives the sequential result") {
  System system;
  auto node = adding_node(system, 1);
  auto x = node.tensor<float>({4});
  node.run(
      [](Orchestrator& n, Tensor t) {
        for (int i = 0; i < 20000; ++i) n.submit("increment", inout(t));
      },
      x);
  CHECK(x.host<float>()[0] == 20000.0F);
}

// A tensor in a chip's memory named only the chip's number: another node took it for memory of its own chip
// of that number, a pod for its own node of that number.
//
// Promised now (until data moves by itself): it is recognised and refused, with a sentence.
#include <doctest/doctest.h>

#include "support/built.hpp"
#include "support/error_of.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;
using actors::Errc;

TROUPE_KERNEL(regression_touch)(KernelArgs& k) { k.tensor<float>(0)[0] = 1.0F; }

namespace {

NodeConfig one_chip(const char* name) {
  return {.name = name, .platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 1};
}

void is_refused(const std::optional<Error>& error) {
  REQUIRE(error);
  CHECK(error->root() == Errc::bad_argument);
  CHECK_MESSAGE(error->message().find("chip of another node") != std::string::npos, error->message());
}

}  // namespace

TEST_CASE("a tensor on a chip of another node is refused where it is submitted") {
  System system;
  auto here = system.node(one_chip("here"));
  auto there = system.node(one_chip("there"));
  here.load(this_module());
  there.load(this_module());
  auto mine = here.chip(0).malloc<float>({1});
  auto touch = [&](Orchestrator& program) { program.submit("regression_touch", out_existing(mine)); };
  here.run(touch);
  is_refused(test::error_of([&] { there.run(touch); }));
  const auto copied = test::error_of([&] { there.chip(0).copy_to(mine, there.tensor<float>({1})); });
  REQUIRE(copied);
  CHECK(copied->message() == "the device tensor does not live on chip 0 of there");
}

TEST_CASE("a pod does not take a chip's tensor for one of its nodes") {
  System system;
  auto alone = system.node(one_chip("alone"));
  PodConfig config;
  config.nodes = {one_chip("node0"), one_chip("node1")};
  auto pod = system.pod(config);
  pod.load(this_module());
  auto mine = alone.chip(0).malloc<float>({1});
  is_refused(test::error_of([&] {
    pod.run([&](Orchestrator& program) {
      program.submit(
          +[](Orchestrator& node, Tensor x) { node.submit("regression_touch", out_existing(x)); },
          out_existing(mine));
    });
  }));
}

// `node.run("f")`, as the pages show it, did not compile: the name was taken for a program. And `blocks(4)`
// was ambiguous in a file that says `using namespace` of troupe and of its chips, as one does that has
// kernels, chip programs and programs.
//
// Promised now: both compile and mean what they say, with arguments and options or without.
#include <doctest/doctest.h>

#include "support/built.hpp"
#include "troupe/platform/chip_program.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;
using namespace troupe::platform;

TROUPE_KERNEL(one_per_block)(KernelArgs& k) {
  k.tensor<float>(0)[static_cast<std::size_t>(k.block_idx())] += 1;
}
TROUPE_CHIP_PROGRAM(blocks_on_the_chip)(ChipOrchestrator& chip, ChipArgs args) {
  chip.aiv("one_per_block", platform::inout(args.tensor(0)), blocks(4));
}

namespace {

void twice_by_name(Orchestrator& node, actors::Tensor x) {
  node.submit("one_per_block", actors::inout(x), blocks(4));
  node.submit("blocks_on_the_chip", actors::inout(x));
}
TROUPE_PROGRAM(twice_by_name);

}  // namespace

TEST_CASE("a program is run and submitted by its name, with arguments and options") {
  System system;
  auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so")});
  node.load(this_module());
  auto x = node.tensor<float>({4});
  node.run("twice_by_name", args(actors::inout(x)));
  node.run("twice_by_name", args(actors::inout(x)), {.name = "again"});
  node.submit("twice_by_name", args(actors::inout(x))).get();
  for (const float value : x.host<const float>()) CHECK(value == 6.0F);
}

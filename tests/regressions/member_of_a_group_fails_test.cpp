// A kernel of a group failed, of one that waited for each other in their windows: the others waited for ever,
// and so did the run. Only the death of a chip ended such a wait.
//
// Promised now: a group is one task. When a member fails, the others are asked to end, and the error is that
// of the one that failed, not of those that were asked.
#include <doctest/doctest.h>

#include <stdexcept>

#include "support/built.hpp"
#include "support/error_of.hpp"
#include "troupe/runtime/comm_context.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;

/// Everybody waits for rank 0, which fails if it is told to.
TROUPE_KERNEL(members_wait_for_first)(KernelArgs& k) {
  auto flag = k.tensor<std::int32_t>(0);
  const auto& domain = *k.scalar<const runtime::CommContext*>(0);
  if (domain.rank != 0) {
    (void)k.wait_until(flag[0], Compare::equal, 1);
    return;
  }
  if (k.scalar<std::int32_t>(1) != 0) throw std::runtime_error("rank 0 has had enough");
  for (std::uint32_t rank = 1; rank < domain.rank_count; ++rank) {
    k.notify(*domain.on_peer(flag.data(), rank), std::int32_t{1});
  }
}

TEST_CASE("members of a group that wait for one which fails end with its error") {
  System system;
  auto node = system.node({.platform = tests::built("lib/libtroupe_a2a3sim.so"), .chips = 3});
  node.load(this_module());
  auto program = [](Orchestrator& n, std::int32_t fails) -> Program {
    DomainSpec spec;
    spec.chips = chips(0, 1, 2);
    spec.buffers = {{"flags", 64}};
    auto domain = co_await n.allocate_domain(spec);
    n.submit_group("members_wait_for_first", domain.each([fails](auto& rank) {
      return args(inout(rank.template buffer<std::int32_t>("flags")), rank.context(), scalar(fails));
    }));
    co_await n.drained();
  };
  for (int round = 0; round < 20; ++round) {
    const auto error = test::error_of([&] { node.run(program, 1); });
    REQUIRE(error);
    CHECK(error->root().message().find("rank 0 has had enough") != std::string::npos);
    node.run(program, 0);
  }
}

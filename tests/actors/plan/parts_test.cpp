// Plans whose tasks use parts of tensors: as one step they use several parts of one tensor at once.
#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using testing::Simulation;

namespace {

constexpr std::uint64_t length = 16;
using Numbers = std::vector<std::int64_t>;

/// "copy" from one to another, and "add" of one to all of another.
Simulation& with_kernels(Simulation& sim) {
  sim.kernel("copy", [](auto& call) {
    call.takes(100);
    const auto from = call.template tensor<const std::int64_t>(0);
    const auto to = call.template tensor<std::int64_t>(1);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i];
  });
  sim.kernel("add", [](auto& call) {
    call.takes(100);
    const auto first = call.template tensor<const std::int64_t>(0)[0];
    for (auto& number : call.template tensor<std::int64_t>(1)) number += first;
  });
  return sim;
}

Tensor numbered(const Node& node) {
  auto tensor = node.tensor<std::int64_t>({length});
  std::int64_t next = 0;
  for (auto& number : tensor.host<std::int64_t>()) number = next++;
  return tensor;
}

Numbers bytes_of(const Tensor& tensor) {
  const auto view = tensor.host<const std::int64_t>();
  return {view.begin(), view.end()};
}

}  // namespace

TEST_CASE("what a step of a plan reads of a tensor of which it writes another part is not read once more") {
  const auto program = [](Orchestrator& n, const Tensor& x, const Tensor& y, const Tensor& z) {
    // Chip 1 has all of `x`, and something that the next step waits for is made elsewhere.
    n.submit("copy", in(x), out(y), on_chip(1));
    n.submit("copy", in(y), out(z), on_chip(0));
    // One step: it reads a part of `x` and writes another.
    n.submit("add", in(x.rows(4, 5)), inout(y.rows(0, 1)), on_chip(1));
    n.submit("add", in(z.rows(8, 9)), inout(x.rows(9, 10)), on_chip(1));
    // Another step that reads all of it.
    n.submit("copy", in(x), out(y.rows(0, length)));
  };
  for (const std::uint64_t seed : {0, 1, 2, 3, 4, 5}) {
    CAPTURE(seed);
    Simulation sim({.seed = seed, .chips = 2});
    auto& node = with_kernels(sim).node();
    const auto given = [&] { return std::vector{numbered(node), numbered(node), numbered(node)}; };
    auto slots = given();
    const auto plan = node.record(program, slots[0], slots[1], slots[2]);
    Numbers expected(length);
    for (std::size_t i = 0; i < length; ++i) expected[i] = static_cast<std::int64_t>(i);
    expected[9] = 17;
    CHECK(plan.steps() < plan.tasks());
    for (int round = 0; round < 3; ++round) {
      CAPTURE(round);
      CHECK(bytes_of(slots[0]) == expected);
      CHECK(bytes_of(slots[1]) == expected);
      slots = given();
      node.run(plan, slots[0], slots[1], slots[2]);
    }
    CHECK(bytes_of(slots[1]) == expected);
  }
}

TEST_CASE("who waits for what a task behind a step that fails was to write goes on when that was skipped") {
  const auto program = [](Orchestrator& n, const Tensor& x, const Tensor& y, const Tensor& z,
                          const Tensor& w) {
    // One step.
    n.submit("add", in(y.rows(0, 1)), inout(x.rows(2, 15)), on_chip(1));
    n.submit("copy", in(y), out(z), on_chip(1));
    // Sent behind it, to be launched when it has ended. It needs nothing of it, so it runs in the end.
    n.submit("copy", in(y.rows(0, 5)), out(x.rows(8, 13)));
    // What this one reads has to be in host memory before.
    n.submit("copy", in(x), out(w), on_chip(1));
  };
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    Simulation sim({.seed = seed, .chips = 2});
    auto& node = with_kernels(sim).node();
    const auto plan = node.record(program, numbered(node), numbered(node), numbered(node), numbered(node));
    CHECK(plan.steps() < plan.tasks());
    const auto x = numbered(node), y = numbered(node), z = numbered(node), w = numbered(node);
    sim.fault(testing::fail("add").at(1));
    const auto error = test::error_of([&] { node.run(plan, x, y, z, w); });
    REQUIRE(error);
    CHECK(*error == actors::Errc::task_failed);
    CHECK(bytes_of(x.rows(0, 2)) == Numbers{0, 1});
    CHECK(test::error_of([&] { (void)x.host<const std::int64_t>(); }) == actors::Errc::data_lost);
    node.run(plan, numbered(node), y, z, w);
    CHECK(bytes_of(w)[8] == 0);
  }
}

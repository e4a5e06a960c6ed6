// Plans whose tasks use parts of tensors: as one step they use several parts of one tensor at once.
#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

#include "troupe/testing.hpp"

using namespace troupe;
using testing::Simulation;

namespace {

constexpr std::uint64_t length = 16;
using Numbers = std::vector<std::int64_t>;

/// "copy" from one to another, and "add" of one to all of another.
Simulation& with_kernels(Simulation& sim) {
  sim.kernel("copy", [](auto& call) {
    const auto from = call.template tensor<const std::int64_t>(0);
    const auto to = call.template tensor<std::int64_t>(1);
    for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i];
  });
  sim.kernel("add", [](auto& call) {
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

// The programs of docs/coming-from.md, run. The page itself is the source that defines them.
#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "troupe/troupe.hpp"

using namespace troupe;

void scale_in_parts(Orchestrator& node, Tensor x, std::uint32_t parts, float factor);
Program normalise(Orchestrator& node, Tensor x);
void diamond(Orchestrator& node, Tensor x);
Program guess(Orchestrator& node, Tensor pi, std::uint32_t tasks, std::uint32_t points);
void smooth_in_blocks(Orchestrator& node, Tensor x, Tensor y, std::uint32_t blocks, std::uint32_t steps);

namespace {

struct Chips {
  System system;
  Node node = system.node({.chips = 3, .sub_workers = 2});
  Chips() {
    node.load(this_module());
    node.load(collectives());
  }
};

TEST_CASE("from StarPU: every part of the vector is scaled once") {
  Chips chips;
  const auto x = chips.node.tensor<float>({100}, 2.0F);
  chips.node.run(scale_in_parts, x, 7U, 3.0F);
  for (const float value : x.host<const float>()) CHECK(value == 6.0F);
}

TEST_CASE("from MPI: the vector has the length one") {
  Chips chips;
  const auto x = chips.node.tensor<float>({100}, 2.0F);
  chips.node.run(normalise, x);
  for (const float value : x.host<const float>()) CHECK(value == doctest::Approx(0.1));
}

TEST_CASE("from Taskflow and OpenMP: the last task has the results of both before it") {
  Chips chips;
  const auto x = chips.node.tensor<float>({1});
  chips.node.run(diamond, x);
  CHECK(x.host<const float>()[0] == 9.0F);
}

TEST_CASE("from Ray: the results of all tasks are added up") {
  Chips chips;
  const auto pi = chips.node.tensor<float>({1});
  chips.node.run(guess, pi, 16U, 10000U);
  CHECK(std::abs(pi.host<const float>()[0] - 3.14F) < 0.05F);
}

TEST_CASE("from Legion: blocks see the borders of their neighbours") {
  Chips chips;
  std::vector<float> expected(50);
  for (std::size_t i = 0; i < expected.size(); ++i) expected[i] = static_cast<float>(i * i % 17);
  const auto x = chips.node.tensor<float>({expected.size()}), y = chips.node.tensor<float>({expected.size()});
  {
    auto first = x.host<float>(), second = y.host<float>();
    for (std::size_t i = 0; i < expected.size(); ++i) first[i] = second[i] = expected[i];
  }
  chips.node.run(smooth_in_blocks, x, y, 5U, 4U);
  for (int step = 0; step < 4; ++step) {
    const auto before = expected;
    for (std::size_t i = 1; i + 1 < expected.size(); ++i)
      expected[i] = (before[i - 1] + before[i] + before[i + 1]) / 3;
  }
  const auto got = x.host<const float>();
  for (std::size_t i = 0; i < expected.size(); ++i) CHECK(got[i] == expected[i]);
}

}  // namespace

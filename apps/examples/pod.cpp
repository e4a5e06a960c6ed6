// A level up: the same submit, but the callable is a node's program and the executor a node. The pod's
// program does not know how many chips a node has.
#include <cstdint>
#include <string>
#include <troupe/troupe.hpp>

#include "examples/check.hpp"

using namespace troupe;

/// What one node does: its part of the rows, spread over its chips.
void square_rows(Orchestrator& node, Tensor part) {
  const auto rows = static_cast<std::uint32_t>(part.shape()[0]),
             chips = static_cast<std::uint32_t>(node.chips());
  for (std::uint32_t chip = 0; chip < chips; ++chip) {
    const auto begin = rows * chip / chips, end = rows * (chip + 1) / chips;
    if (begin < end) node.submit("square", inout(part.rows(begin, end)), on_chip(static_cast<int>(chip)));
  }
}

void pod(Orchestrator& pod, std::uint32_t rows) {
  auto x = pod.tensor<float>({rows, 256}, 3.0f);
  const auto nodes = static_cast<std::uint32_t>(pod.chips());
  for (std::uint32_t node = 0; node < nodes; ++node) {
    const auto begin = rows * node / nodes, end = rows * (node + 1) / nodes;
    if (begin < end)
      pod.submit(square_rows, inout(x.rows(begin, end)), on_chip(static_cast<int>(node)),
                 name("part " + std::to_string(node)));
  }
  for (const float value : pod.read_all<float>(x).get()) apps::expect(value == 9.0f, "3 squared is 9");
}
TROUPE_PROGRAM(pod);

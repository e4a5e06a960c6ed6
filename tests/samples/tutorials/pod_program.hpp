#pragma once

#include <cstdint>
#include <string>
#include <troupe/troupe.hpp>
#include <vector>

// Runs on a node: every chip squares its part of the rows.
inline void square_rows(troupe::Orchestrator& node, troupe::Tensor part) {
  const auto rows = part.shape()[0], chips = static_cast<std::uint64_t>(node.chips());
  for (std::uint64_t chip = 0; chip < chips; ++chip) {
    const auto begin = rows * chip / chips, end = rows * (chip + 1) / chips;
    if (begin == end) continue;
    const auto mine = part.rows(begin, end);
    auto squared = node.tensor<float>(mine.shape());
    node.submit("square", troupe::in(mine), troupe::out(squared), troupe::retry(2), troupe::name("square"));
    node.copy(mine, squared);
  }
}

// Runs at the pod: a part for each node. A node whose part fails is named, and the others' results count.
inline troupe::Program square_all(troupe::Orchestrator& pod, troupe::Tensor x, troupe::Tensor failures) {
  const auto rows = x.shape()[0], nodes = static_cast<std::uint64_t>(pod.chips());
  std::vector<troupe::Task> parts;
  for (std::uint64_t node = 0; node < nodes; ++node) {
    const auto part = x.rows(rows * node / nodes, rows * (node + 1) / nodes);
    parts.push_back(pod.submit(square_rows, troupe::inout(part), troupe::on_chip(static_cast<int>(node)),
                               troupe::name("part " + std::to_string(node))));
  }
  float failed = 0;
  for (const auto& part : parts) {
    try {
      co_await part;
    } catch (const troupe::Error&) {
      ++failed;  // caught: it does not fail the run
    }
  }
  failures.host<float>()[0] = failed;
}

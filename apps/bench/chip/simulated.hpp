#pragma once

#include <cstdint>
#include <vector>

#include "chip/graphs.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/runtime/tensor.hpp"

namespace troupe::bench {

/// A simulated chip with 2 workers that runs the benchmark's graphs, as chip programs.
class SimulatedChip {
 public:
  SimulatedChip();
  /// Seconds of wall time. Ends the program when not all tasks ran.
  double run(const Graph& graph, std::uint64_t ns);

 private:
  static constexpr std::uint64_t bytes = 64ull * 1'100'000;
  platform::DeviceContext context_;
  std::uint64_t program_ = 0, memory_ = 0;
  std::vector<runtime::Tensor> cells_;
};

}  // namespace troupe::bench

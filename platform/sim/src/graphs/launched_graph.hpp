#pragma once

#include <memory>
#include <vector>

#include "code/code.hpp"
#include "graphs/chip_graph.hpp"
#include "runs/runs.hpp"
#include "troupe/platform/device_abi.h"

namespace troupe::platform::sim {

/// A graph that the host has registered, to be launched as one run. Immutable.
class LaunchedGraph final : public LoadedCode {
 public:
  /// Of a description that check_graph() has passed. `unsupported`: its tasks have to be launched one by one.
  static Result<std::unique_ptr<LaunchedGraph>> make(const troupe_graph& description,
                                                     const CallableTable& callables);

  bool is_program() const noexcept override { return true; }
  bool may_wait() const noexcept override { return may_wait_; }
  const std::shared_ptr<const ChipGraph>& graph() const noexcept { return graph_; }
  const GraphSlots& slots() const noexcept { return slots_; }
  const std::vector<std::shared_ptr<const RegisteredCallable>>& kernels() const noexcept { return kernels_; }

 private:
  LaunchedGraph() = default;

  std::shared_ptr<const ChipGraph> graph_;
  GraphSlots slots_;
  std::vector<std::shared_ptr<const RegisteredCallable>> kernels_;
  bool may_wait_ = false;
};

}  // namespace troupe::platform::sim

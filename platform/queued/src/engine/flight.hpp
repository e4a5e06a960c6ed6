#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "engine/blocks.hpp"
#include "engine/device_code.hpp"
#include "engine/host_tensors.hpp"
#include "engine/queued_graph.hpp"
#include "runs/runs.hpp"

namespace troupe::platform::queued {

/// A run from its launch to its end. What is not said otherwise is touched by the engine's thread alone.
struct Flight {
  /// Does not change once it was launched, but for the flag that it is to end.
  std::unique_ptr<Run> run;

  // With the lock of Unfinished.
  std::list<Flight>::iterator place;            ///< among the unfinished
  Block* block = nullptr;                       ///< since it was given to the device,
  std::span<troupe_device_block> graph_blocks;  ///< or those of a graph
  std::uint64_t submitted_ns = 0;               ///< when that was

  const DeviceKernel* kernel = nullptr;
  QueuedGraph::Instance* graph = nullptr;  ///< of a launch of a graph
  HostTensors tensors;
  std::vector<Block*> looks_at;  ///< of runs that it comes after on the device
  std::uint32_t line = 0;        ///< which of the engine's queues it is in
  Event inputs{}, done{}, outputs{};
  bool given = false;   ///< to the device
  bool copies = false;  ///< memory of the host is being copied for it

  bool is_on_device() const noexcept { return block != nullptr || !graph_blocks.empty(); }
  /// Whether runs on the device can see by its block how it ended, before the host has.
  bool tells() const noexcept { return block != nullptr && tensors.outputs().empty(); }
};

}  // namespace troupe::platform::queued

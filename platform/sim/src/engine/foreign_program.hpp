#pragma once

#include <cstdint>
#include <span>

#include "code/code.hpp"
#include "common.hpp"
#include "runs/runs.hpp"
#include "tasks/tasks.hpp"
#include "troupe/runtime/result.hpp"
#include "troupe/runtime/tensor.hpp"

namespace troupe::platform::sim {

class ChipEngine;

/// A chip program that came as bytes: it submits tasks that it describes by addresses, not through the table
/// of a module.
class ForeignProgram : public LoadedCode {
 public:
  bool is_program() const noexcept final { return true; }
  /// How its graph is built: TENSORMAP, or HOST_GRAPH for one that starts when the program has returned.
  /// Either way its edges are inferred.
  virtual std::uint32_t chip_runtime() const noexcept = 0;
  /// How many clusters a run has that does not say.
  virtual std::uint32_t clusters() const noexcept = 0;
  /// What bounds the graph of its runs; null: what bounds others on the chip.
  virtual const RingSizes* rings() const noexcept = 0;
  /// Runs it, on the calling thread; `tensors` have device addresses. What the engine refused it knows by
  /// itself; an error is what went wrong elsewhere.
  virtual Result<void> run(ChipEngine& engine, const Run& run,
                           std::span<const runtime::Tensor> tensors) const = 0;
};

}  // namespace troupe::platform::sim

#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "engine/engine.hpp"
#include "host_chip/host_chip.hpp"
#include "kernels/kernels.hpp"
#include "memory/memory.hpp"
#include "options.hpp"
#include "runs/runs.hpp"
#include "threads/threads.hpp"

namespace troupe::platform::sim {

/// A simulated chip: its cores, and how they run a kernel or a chip program.
class Device final : public HostChip {
 public:
  Device(HostServices& host, const Options& options, std::int32_t number);

  std::size_t report_cores(troupe_core_status* cores, std::size_t capacity) const override;
  Result<std::uint64_t> add_graph(const troupe_graph& graph) override;
  Result<void> launch_graph(const troupe_run& run, std::uint64_t settled) override;

 private:
  Outcome execute(Run& run) noexcept override;
  void interrupt(Run& run) noexcept override;
  /// Also wakes kernels that waited for it.
  void store(std::uint64_t address, const void* data, std::uint64_t size) override;
  std::string name_of_core(std::uint32_t core) const override { return core_name(core); }
  Outcome execute_checked(Run& run);
  Result<void> run_one_kernel(Run& run);
  std::optional<Error> overstep_of(const KernelCall& call, const runtime::TensorDescriptor* tensors,
                                   const runtime::Tag* tags);
  std::uint64_t host_time(std::uint64_t at_ticks) const noexcept;

  const std::uint64_t created_ns_, created_ticks_;
  mutable CoreBoard board_;
  Pipes pipes_;
  Staging staging_;
  ChipEngine engine_;
  std::mutex current_mutex_;
  KernelHost* current_ = nullptr;  ///< of the run that executes
};

}  // namespace troupe::platform::sim

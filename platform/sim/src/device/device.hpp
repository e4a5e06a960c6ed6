#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "code/code.hpp"
#include "engine/engine.hpp"
#include "kernels/kernels.hpp"
#include "threads/threads.hpp"
#include "memory/memory.hpp"
#include "options.hpp"
#include "runs/runs.hpp"

namespace troupe::platform::sim {

/// A context's chip between set_device and reset_device: its memory, cores, callables, windows and runs.
class Device final : RunExecutor {
 public:
  static std::shared_ptr<Device> create(HostServices& host, const Options& options, std::int32_t number);
  ~Device();

  std::int32_t number() const noexcept { return number_; }
  DeviceMemory& memory() noexcept { return memory_; }
  CallableTable& callables() noexcept { return callables_; }
  WindowSet& windows() noexcept { return windows_; }
  RunQueue& queue() noexcept { return queue_; }

  /// Copies to the chip, and wakes kernels that waited for it.
  Result<void> write(std::uint64_t address, const void* data, std::uint64_t size);
  /// Frees, unless an unfinished run uses it.
  Result<void> release(std::uint64_t address);
  Result<void> release_window(std::uint64_t window);
  /// Ends everything. An error (busy) names the kernel that does not return; the device must then be kept.
  Result<void> close();
  void report(troupe_device_status& status) const;
  /// Fills up to `capacity` entries; answers how many cores are busy.
  std::size_t report_cores(troupe_core_status* cores, std::size_t capacity) const;

 private:
  Device(HostServices& host, const Options& options, std::int32_t number);
  Outcome execute(Run& run) noexcept override;
  void interrupt(Run& run) noexcept override;
  Outcome execute_checked(Run& run);
  static Result<void> check_arguments(const Run& run);
  Result<void> run_one_kernel(Run& run);
  std::optional<Error> overstep_of(const KernelCall& call, const runtime::TensorDescriptor* tensors,
                                   const runtime::Tag* tags);
  std::uint64_t host_time(std::uint64_t at_ticks) const noexcept;
  Error busy() const;
  void report_leaks() const;

  HostServices& host_;
  const Options options_;
  const std::int32_t number_;
  const std::uint64_t created_ns_, created_ticks_;
  DeviceMemory memory_;
  CallableTable callables_;
  WindowSet windows_;
  mutable CoreBoard board_;
  Pipes pipes_;
  Staging staging_;
  CoreThreads threads_;
  ChipEngine engine_;
  std::mutex current_mutex_;
  KernelHost* current_ = nullptr;  ///< of the run that executes
  RunQueue queue_;                 ///< last: it uses all of the above
};

}  // namespace troupe::platform::sim

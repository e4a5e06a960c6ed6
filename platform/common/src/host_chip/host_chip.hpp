#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <string>

#include "chip/chip.hpp"
#include "chip_options.hpp"
#include "code/code.hpp"
#include "memory/memory.hpp"
#include "runs/runs.hpp"
#include "threads/threads.hpp"

namespace troupe::platform::common {

/// A chip that is played by the host: its memory is memory of the host, its cores are threads, its runs are
/// executed one after the other. A platform's own chip is derived from it: it says how a run is executed and
/// interrupted, and what its cores are. Safe from any thread.
class HostChip : public Chip, RunExecutor {
 public:
  std::int32_t number() const noexcept override { return number_; }
  CallableTable& callables() noexcept override { return callables_; }
  WindowSet* windows() noexcept override { return &windows_; }
  DeviceMemory& memory() noexcept { return memory_; }
  RunQueue& queue() noexcept { return queue_; }
  const RunQueue& queue() const noexcept { return queue_; }

  Result<std::uint64_t> allocate(std::uint64_t bytes) override;
  Result<void> release(std::uint64_t address) override;
  Result<void> write(std::uint64_t address, const void* data, std::uint64_t size) override;
  Result<void> read(void* target, std::uint64_t address, std::uint64_t size) override;
  Result<void> launch(std::span<const troupe_run> runs, std::uint64_t settled) override;
  Outcome run_and_wait(const troupe_run& run, troupe_completion* completion) override;
  Result<void> abort(std::uint64_t correlation) override;
  bool inside_callback() const noexcept override { return queue_.inside_callback(); }
  Result<void> release_window(std::uint64_t window) override;
  Result<void> close() override;
  void report(troupe_device_status& status) const override;

 protected:
  HostChip(HostServices& host, const ChipOptions& options, std::int32_t number, LoadCode load);

  HostServices& host() const noexcept { return host_; }
  CoreThreads& threads() noexcept { return threads_; }
  WindowSet& window_set() noexcept { return windows_; }
  bool checked() const noexcept { return checked_; }

 private:
  /// Puts bytes where they are known to fit, and tells the kernels that wait for them.
  virtual void store(std::uint64_t address, const void* data, std::uint64_t size) = 0;
  /// For people; TROUPE_NO_CORE too.
  virtual std::string name_of_core(std::uint32_t core) const = 0;
  Error busy() const;
  void report_leaks() const;

  HostServices& host_;
  const std::int32_t number_;
  const std::chrono::milliseconds grace_;
  const bool checked_;
  DeviceMemory memory_;
  CallableTable callables_;
  WindowSet windows_;
  CoreThreads threads_;
  RunQueue queue_;  ///< last: it uses all of the above
};

}  // namespace troupe::platform::common

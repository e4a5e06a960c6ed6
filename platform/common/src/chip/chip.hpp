#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "chip_options.hpp"
#include "code/code.hpp"
#include "memory/memory.hpp"
#include "runs/runs.hpp"
#include "threads/threads.hpp"
#include "troupe/platform/device_abi.h"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::common {

/// A context's chip between set_device and reset_device: its memory, callables, windows, threads, and the
/// runs that go through it. A platform's own chip is derived from it: it says how a run is executed and
/// interrupted, and what its cores are. Safe from any thread.
class Chip : RunExecutor {
 public:
  /// `close` must have succeeded, or the object must be kept.
  virtual ~Chip() = default;
  Chip(const Chip&) = delete;
  Chip& operator=(const Chip&) = delete;

  std::int32_t number() const noexcept { return number_; }
  DeviceMemory& memory() noexcept { return memory_; }
  CallableTable& callables() noexcept { return callables_; }
  WindowSet& windows() noexcept { return windows_; }
  RunQueue& queue() noexcept { return queue_; }
  const RunQueue& queue() const noexcept { return queue_; }

  /// Copies to the chip.
  Result<void> write(std::uint64_t address, const void* data, std::uint64_t size);
  /// Copies from it.
  Result<void> read(void* target, std::uint64_t address, std::uint64_t size) const;
  /// Frees, unless an unfinished run uses it.
  Result<void> release(std::uint64_t address);
  Result<void> release_window(std::uint64_t window);
  /// Ends everything. An error (busy) names the kernel that does not return; the chip must then be kept.
  Result<void> close();
  void report(troupe_device_status& status) const;
  /// Fills up to `capacity` entries; answers how many cores are busy.
  virtual std::size_t report_cores(troupe_core_status* cores, std::size_t capacity) const = 0;

 protected:
  /// `load` makes code of bytes; see CallableTable.
  Chip(HostServices& host, const ChipOptions& options, std::int32_t number, LoadCode load);

  HostServices& host() const noexcept { return host_; }
  CoreThreads& threads() noexcept { return threads_; }
  bool checked() const noexcept { return checked_; }

 private:
  /// Puts bytes where they are known to fit, and lets whoever waits for them on the chip know.
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

/// What a plugin is, for one context: its options, and chips made with them. The context calls it with its
/// lock held.
class Platform {
 public:
  virtual ~Platform() = default;
  /// The error says which name or value is not understood.
  virtual Result<void> set_option(std::string_view name, std::string_view value) = 0;
  /// Devices are numbered from 0 up to here.
  virtual std::uint32_t devices() const noexcept = 0;
  virtual std::shared_ptr<Chip> make_chip(HostServices& host, std::int32_t number) const = 0;
  /// Architecture, features, cores, memory and sizes on the chip; the rest is filled in.
  virtual void describe(troupe_device_properties& properties) const = 0;
};

/// Every plugin has exactly one definition.
std::unique_ptr<Platform> make_platform();

}  // namespace troupe::platform::common

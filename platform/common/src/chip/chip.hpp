#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "code/code.hpp"
#include "memory/memory.hpp"
#include "runs/runs.hpp"
#include "threads/threads.hpp"
#include "troupe/platform/device_abi.h"
#include "troupe/runtime/result.hpp"

namespace troupe::platform::common {

/// A context's chip between set_device and reset_device, as the ABI's functions see it; what each one
/// promises stands in device_abi.h. Safe from any thread.
class Chip {
 public:
  Chip() = default;
  /// `close` must have succeeded, or the object must be kept.
  virtual ~Chip() = default;
  Chip(const Chip&) = delete;
  Chip& operator=(const Chip&) = delete;

  virtual std::int32_t number() const noexcept = 0;
  virtual CallableTable& callables() noexcept = 0;
  /// Null: this chip has no windows.
  virtual WindowSet* windows() noexcept { return nullptr; }
  /// The device has died: nothing works any more but to close the chip.
  virtual bool lost() const noexcept { return false; }

  virtual Result<std::uint64_t> allocate(std::uint64_t bytes) = 0;
  /// Frees, unless an unfinished run uses it.
  virtual Result<void> release(std::uint64_t address) = 0;
  /// Copies to the chip.
  virtual Result<void> write(std::uint64_t address, const void* data, std::uint64_t size) = 0;
  /// Copies from it.
  virtual Result<void> read(void* target, std::uint64_t address, std::uint64_t size) = 0;

  virtual Result<void> launch(std::span<const troupe_run> runs, std::uint64_t settled) = 0;
  /// `completion` may be null.
  virtual Outcome run_and_wait(const troupe_run& run, troupe_completion* completion) = 0;
  virtual Result<void> abort(std::uint64_t correlation) = 0;

  // Graphs; of a chip that takes them. The graph's lists are what check_graph() has passed.
  virtual Result<std::uint64_t> add_graph(const troupe_graph& graph);
  virtual Result<void> launch_graph(const troupe_run& run, std::uint64_t settled);
  /// Its memory, as moves reach it; null: this chip takes none.
  virtual MovableMemory* movable() noexcept { return nullptr; }
  /// Whether the calling thread is inside a completion callback of this chip.
  virtual bool inside_callback() const noexcept = 0;

  /// Of a chip with windows.
  virtual Result<void> release_window(std::uint64_t window);
  /// Ends everything. An error (busy) names the kernel that does not return; the chip must then be kept.
  virtual Result<void> close() = 0;
  virtual void report(troupe_device_status& status) const = 0;
  /// Fills up to `capacity` entries; answers how many cores are busy.
  virtual std::size_t report_cores(troupe_core_status* cores, std::size_t capacity) const = 0;
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
  /// Why there is no device at all: what was looked for, and where. Asked when there is none.
  virtual Error no_device() const;
  /// How there could be more; empty: not at all. For who asks for a device that is not there.
  virtual std::string more_chips() const { return {}; }
  virtual Result<std::shared_ptr<Chip>> make_chip(HostServices& host, std::int32_t number) = 0;
  /// Architecture, features, cores, memory and sizes on the chip; the rest is filled in. `chip`: the one that
  /// is set, or null.
  virtual void describe(troupe_device_properties& properties, const Chip* chip) const = 0;
};

/// Every plugin has exactly one definition.
std::unique_ptr<Platform> make_platform();

}  // namespace troupe::platform::common

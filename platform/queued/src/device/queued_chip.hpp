#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

#include "chip/chip.hpp"
#include "chip_options.hpp"
#include "driver/driver.hpp"
#include "engine/engine.hpp"
#include "troupe/platform/errc.hpp"

namespace troupe::platform::queued {

/// What set_device_option can change.
struct Options : ChipOptions {
  std::uint32_t lanes = 0;  ///< lanes of a block; 0: what the driver prefers

  /// The error says which name or value is not understood.
  Result<void> set(std::string_view name, std::string_view value, std::uint64_t memory,
                   std::uint32_t most_lanes);
};

/// A chip that is a queued device. Safe from any thread.
class QueuedChip final : public Chip, MemorySource {
 public:
  static Result<std::shared_ptr<Chip>> open(HostServices& host, const Options& options, std::int32_t number,
                                            const DeviceFacts& facts, std::unique_ptr<Driver> driver);
  ~QueuedChip() override;

  std::int32_t number() const noexcept override { return number_; }
  CallableTable& callables() noexcept override { return callables_; }
  bool lost() const noexcept override { return engine_.lost(); }

  Result<std::uint64_t> allocate(std::uint64_t bytes) override {
    return memory_.allocate(bytes, "device_malloc");
  }
  Result<void> release(std::uint64_t address) override;
  Result<void> write(std::uint64_t address, const void* data, std::uint64_t size) override;
  Result<void> read(void* target, std::uint64_t address, std::uint64_t size) override;
  Result<void> launch(std::span<const troupe_run> runs, std::uint64_t settled) override {
    return engine_.launch(runs, settled);
  }
  Result<std::uint64_t> add_graph(const troupe_graph& graph) override {
    return noted(engine_.add_graph(graph, callables_));
  }
  Result<void> launch_graph(const troupe_run& run, std::uint64_t settled) override {
    return engine_.launch({&run, 1}, settled, Engine::Of::graphs);
  }
  Outcome run_and_wait(const troupe_run& run, troupe_completion* completion) override {
    return engine_.run_and_wait(run, completion);
  }
  Result<void> abort(std::uint64_t correlation) override { return engine_.abort(correlation); }
  bool inside_callback() const noexcept override { return engine_.inside_callback(); }
  Result<void> close() override;
  void report(troupe_device_status& status) const override;
  std::size_t report_cores(troupe_core_status* cores, std::size_t capacity) const override {
    return engine_.report_cores(cores, capacity);
  }

 private:
  QueuedChip(HostServices& host, const Options& options, std::int32_t number, const DeviceFacts& facts,
             std::unique_ptr<Driver> driver);
  Result<std::uint64_t> take(std::size_t size) override { return noted(driver_->allocate(size)); }
  void give_back(std::uint64_t address, std::size_t size) noexcept override { driver_->free(address, size); }

  /// What the driver answered; that it says "lost" is kept.
  template <class T>
  Result<T> noted(Result<T> answer) {
    if (!answer && answer.error() == Errc::lost) engine_.note_loss();
    return answer;
  }
  Result<void> copy_and_wait(const Copy& copy);
  Result<std::unique_ptr<LoadedCode>> load_bytes(std::string_view name, std::span<const std::byte> bytes);
  Result<std::unique_ptr<LoadedCode>> load_module(const troupe_module_v1& module,
                                                  const troupe_callable_v1& callable);
  Result<std::shared_ptr<LoadedProgram>> program_of(const troupe_device_image_v1& image);
  Error busy() const;

  const std::int32_t number_;
  const std::chrono::milliseconds grace_;
  const std::unique_ptr<Driver> driver_;
  std::mutex calls_;  ///< one copy of a caller at a time is given to the queue
  Queue calls_queue_{};
  std::mutex loading_;  ///< an image is loaded once
  std::map<const troupe_device_image_v1*, std::weak_ptr<LoadedProgram>> programs_;
  DeviceMemory memory_;
  CallableTable callables_;
  CoreThreads threads_;
  Engine engine_;  ///< last: it uses all of the above
};

}  // namespace troupe::platform::queued

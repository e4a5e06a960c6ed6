#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "code/code.hpp"
#include "driver/driver.hpp"
#include "engine/device_code.hpp"
#include "runs/runs.hpp"
#include "troupe/platform/device_abi.h"
#include "troupe/runtime/device_block.h"

namespace troupe::platform::queued {

/// A graph that the host has registered, on a device that has graphs of its own. The device's graph has the
/// addresses of argument blocks in it, which stay; a launch writes what is new into those. It is made with
/// one instance, so that a device that cannot have any says so before a launch. Immutable but for its
/// instances, which the engine's thread alone takes and gives back.
class QueuedGraph final : public LoadedCode {
 public:
  /// The device's graph with its argument blocks: for one launch at a time.
  struct Instance {
    SharedMemory memory;
    std::span<troupe_device_block> blocks;  ///< one for each task
    Graph graph{};
  };
  /// Longer ones are launched task by task: an argument block takes some kilobytes.
  static constexpr std::uint64_t most_tasks = 4096;
  /// So many launches overlap: two for each of the engine's queues. Others wait for the end of one, and hold
  /// back what was launched after them.
  static constexpr std::size_t most_instances = 8;

  /// Of a description that check_graph() has passed. `unsupported`: its tasks have to be launched one by one.
  static Result<std::unique_ptr<QueuedGraph>> make(const troupe_graph& description,
                                                   const CallableTable& callables, Driver& driver,
                                                   std::uint32_t lanes, std::uint32_t together);
  ~QueuedGraph() override;
  QueuedGraph(const QueuedGraph&) = delete;
  QueuedGraph& operator=(const QueuedGraph&) = delete;

  bool is_program() const noexcept override { return true; }
  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(tasks_.size()); }
  /// Why what a run brings does not fit.
  std::optional<Error> refusal(const Run& run) const;

  /// Null: all that there may be are in use; one comes back with the end of a launch.
  Result<Instance*> take(const HostServices& host);
  void leave(Instance& instance) {
    free_.push_back(&instance);
    // There may be room by now for one that could not be had.
    if (ends_to_wait_ != 0 && --ends_to_wait_ == 0) has_all_ = false;
  }
  /// Everything of this launch, into the blocks. `device`: the run's tensors, where they are on the device.
  void fill(Instance& instance, const Run& run, std::span<const runtime::Tensor> device) const;
  /// As what: its first task that did not end well.
  Outcome outcome_of(const Instance& instance, const Run& run) const;
  /// What runs, for people: the last that has begun.
  std::optional<std::string> running(std::span<const troupe_device_block> blocks) const;

 private:
  /// Its own of the lists below begin here.
  struct Task {
    std::shared_ptr<const RegisteredCallable> callable;
    const DeviceKernel* kernel = nullptr;
    std::string name;
    std::uint32_t views = 0, scalars = 0, producers = 0;
    std::uint32_t view_count = 0, scalar_count = 0, producer_count = 0;
    std::uint32_t blocks = 1;
  };
  struct View {
    std::uint64_t offset = 0;
    std::uint32_t slot = 0, layout = 0;
  };

  QueuedGraph(Driver& driver, std::uint32_t lanes) : driver_(driver), lanes_(lanes) {}
  Result<void> add(const troupe_graph& from, std::uint64_t number, std::span<const std::uint32_t> producers,
                   const CallableTable& callables, std::uint32_t together);
  Result<void> add_slots(const troupe_graph& from);
  std::uint32_t layout_of(const troupe_graph_tensor& view);
  Result<void> add_instance();
  Result<Instance> new_instance() const;

  Driver& driver_;
  const std::uint32_t lanes_;
  std::string name_;
  std::vector<Task> tasks_;
  std::vector<View> views_;
  std::vector<troupe_device_tensor> layouts_;  ///< without addresses
  std::vector<troupe_graph_scalar> scalars_;
  std::vector<std::uint32_t> producers_;
  GraphSlots slots_;
  std::deque<Instance> all_;
  std::vector<Instance*> free_;
  bool has_all_ = false;  ///< instances that it may have, or that there is room for now
  std::size_t ends_to_wait_ = 0, next_wait_ = 1;  ///< until another one is tried; longer each time
};

}  // namespace troupe::platform::queued

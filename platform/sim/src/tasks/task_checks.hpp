#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "kernels/kernels.hpp"
#include "tasks/intermediates.hpp"
#include "tasks/task_record.hpp"

namespace troupe::platform::sim {

/// Checked chips: what tasks did to memory that they may only read, or that is not their own. With the baton,
/// or by the program's thread while it is alone. A chip that is not checked asks nothing of it
/// but `enabled`.
class TaskChecks {
 public:
  TaskChecks(DeviceMemory& memory, Intermediates& intermediates, bool enabled)
      : memory_(memory), intermediates_(intermediates), enabled_(enabled) {}

  bool enabled() const noexcept { return enabled_; }
  void begin_run(bool edges_by_hand);
  /// Some task uses this buffer without ordering, so any other may write it.
  void leave_unordered(const runtime::BufferRef& buffer) { unordered_.insert({buffer.arena, buffer.offset}); }

  /// A task starts; its memory is placed.
  void begin(TaskRecord& task);
  /// It has ended: what it did wrong is its failure, unless it has one.
  void end(TaskRecord& task);

 private:
  bool others_may_write(const TaskRecord& task, std::uint32_t tensor) const;
  std::optional<Overstep> overstep(const TaskRecord& task, std::uint32_t tensor);
  std::string suspects(const TaskRecord& task, std::uint32_t tensor) const;

  DeviceMemory& memory_;
  Intermediates& intermediates_;
  const bool enabled_;
  bool edges_by_hand_ = false;
  std::map<const TaskRecord*, InputCheck> inputs_;  ///< of the tasks that run
  std::set<std::pair<std::uint32_t, std::uint64_t>> unordered_;
};

}  // namespace troupe::platform::sim

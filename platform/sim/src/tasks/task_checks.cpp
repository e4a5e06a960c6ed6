#include "tasks/task_checks.hpp"

#include <algorithm>

namespace troupe::platform::sim {

namespace {

std::string quoted(const std::string& name) { return "'" + name + "'"; }

/// "kernel 'a'", or "kernels 'a' and 'b'" of a task that runs on several cores at once.
std::string kernels_of(const TaskRecord& task) {
  std::string names;
  std::uint32_t count = 0;
  for (const KernelEntry* lane : task.lanes) {
    if (lane == nullptr) continue;
    names += (count++ == 0 ? "" : " and ") + quoted(lane->name);
  }
  return (count > 1 ? "kernels " : "kernel ") + names;
}

}  // namespace

void TaskChecks::begin_run(bool edges_by_hand) {
  edges_by_hand_ = edges_by_hand;
  inputs_.clear();
  unordered_.clear();
}

// Edges by hand need not follow the tags, so there is nothing to hold a kernel's inputs to.
void TaskChecks::begin(TaskRecord& task) {
  InputCheck& inputs = inputs_[&task];
  if (edges_by_hand_ || task.skipped) return;
  inputs.begin(task.tensors, task.tags, task.tensor_count,
               [&](std::uint32_t i) { return others_may_write(task, i); });
}

void TaskChecks::end(TaskRecord& task) {
  const auto noted = inputs_.extract(&task);
  if (noted.empty() || task.failure != nullptr || task.skipped || task.is_store) return;
  auto wrong =
      noted.mapped().end(task.entry->code.name, [&](std::uint32_t i) { return others_may_write(task, i); });
  if (!wrong) {
    const auto found =
        first_overstep(task.tags, task.tensor_count, [&](std::uint32_t i) { return overstep(task, i); });
    if (found) wrong = overstepped(suspects(task, found->first), found->first, found->second);
  }
  if (wrong) task.failure = std::make_unique<Error>(*std::move(wrong));
}

// Peers and the host reach what is not the chip's own; tasks of the run reach what has no ordering.
bool TaskChecks::others_may_write(const TaskRecord& task, std::uint32_t tensor) const {
  const auto& buffer = task.buffers[tensor];
  return unordered_.contains({buffer.arena, buffer.offset}) ||
         memory_.check(task.tensors[tensor].address, 1, "an input").has_value();
}

std::optional<Overstep> TaskChecks::overstep(const TaskRecord& task, std::uint32_t tensor) {
  const auto& described = task.tensors[tensor];
  const auto& buffer = task.buffers[tensor];
  if (described.extent == 0) return std::nullopt;
  if (buffer.arena == 0) return memory_.take_overstep(described.address, described.size);
  return intermediates_.take_overstep(buffer, described.address);
}

// What is found now was done since the last look by a task that has this memory: by this one, or by another
// that still runs and has not been looked at.
std::string TaskChecks::suspects(const TaskRecord& task, std::uint32_t tensor) const {
  std::string names = kernels_of(task);
  const auto& buffer = task.buffers[tensor];
  const auto shares = [&](const runtime::BufferRef& other) {
    if (other.arena != buffer.arena) return false;
    return buffer.arena != 0 ? other.offset == buffer.offset
                             : memory_.same_piece(other.offset, buffer.offset);
  };
  for (const auto& [other, inputs] : inputs_) {
    if (std::any_of(other->buffers, other->buffers + other->tensor_count, shares)) {
      names += ", or " + kernels_of(*other) + ",";
      break;
    }
  }
  if (buffer.arena == 0 && memory_.is_window(buffer.offset)) names += ", or one of a peer,";
  return names;
}

}  // namespace troupe::platform::sim

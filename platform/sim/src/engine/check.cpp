// Checked chips: what a kernel did to memory that it may only read, or that is not its own.

#include <algorithm>
#include <cstring>
#include <utility>

#include "memory/memory.hpp"
#include "engine/engine.hpp"
#include "engine/engine_jobs.hpp"

namespace troupe::platform::sim {

namespace {

constexpr int poison_byte = 0xFF;  // a NaN in every float type

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

// Edges by hand need not follow the tags, so there is nothing to hold a kernel's inputs to.
void ChipEngine::begin_check(TaskRecord& task) {
  InputCheck& inputs = inputs_[&task];
  if (runtime_ != TROUPE_CHIP_RUNTIME_TENSORMAP || task.skipped) return;
  inputs.begin(task.tensors, task.tags, task.tensor_count,
               [&](std::uint32_t i) { return others_may_write(task, i); });
}

void ChipEngine::end_check(TaskRecord& task) {
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

// Peers and the host reach what is not the chip's own; within the run, whoever asked for no ordering.
bool ChipEngine::others_may_write(const TaskRecord& task, std::uint32_t tensor) const {
  const auto& buffer = task.buffers[tensor];
  return unordered_.contains({buffer.arena, buffer.offset}) ||
         parts_.memory.check(task.tensors[tensor].address, 1, "an input").has_value();
}

// On a checked chip every block is followed by as much room, in which its guards lie and those of the next.
std::uint64_t ChipEngine::address_in_arena(const runtime::Placement& placed) {
  const std::uint64_t base = arena(placed.arena);
  return base != 0 ? base + placed.offset * (checked_ ? 2 : 1) : 0;
}

// Memory that was just given is not to be mistaken for zeros by a kernel that forgets to write it.
void ChipEngine::guard(std::uint64_t address, std::uint64_t bytes, const runtime::Placement& placed) {
  static_assert(runtime::limits::block_alignment >= 2 * guard_bytes);
  std::memset(pointer(address), poison_byte, bytes);
  GuardZone{address + bytes, address + placed.bytes + guard_bytes}.fill();
  GuardZone{address - guard_bytes, address}.fill();
}

std::optional<Overstep> ChipEngine::overstep(const TaskRecord& task, std::uint32_t tensor) {
  const auto& described = task.tensors[tensor];
  const auto& buffer = task.buffers[tensor];
  if (described.extent == 0) return std::nullopt;
  if (buffer.arena == 0) return parts_.memory.take_overstep(described.address, described.size);
  const auto placed = graph_->placement(buffer);
  if (!placed) return std::nullopt;
  const std::uint64_t address = described.address;
  const std::uint64_t end = address + made_[buffer.offset].bytes;
  auto found = damage_behind({end, address + placed->bytes + guard_bytes});
  return found ? found : damage_before({address - guard_bytes, address});
}

// What is found now was done since the last look by one that has this memory: by this task, or by one that
// still runs and has not been looked at.
std::string ChipEngine::suspects(const TaskRecord& task, std::uint32_t tensor) const {
  std::string who = kernels_of(task);
  const auto& buffer = task.buffers[tensor];
  const auto shares = [&](const runtime::BufferRef& other) {
    if (other.arena != buffer.arena) return false;
    return buffer.arena != 0 ? other.offset == buffer.offset
                             : parts_.memory.same_piece(other.offset, buffer.offset);
  };
  for (const auto& [other, inputs] : inputs_) {
    if (std::any_of(other->buffers, other->buffers + other->tensor_count, shares)) {
      who += ", or " + kernels_of(*other) + ",";
      break;
    }
  }
  if (buffer.arena == 0 && parts_.memory.is_window(buffer.offset)) who += ", or one of a peer,";
  return who;
}

}  // namespace troupe::platform::sim

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "memory/memory.hpp"
#include "runs/runs.hpp"
#include "tasks/described_task.hpp"
#include "tasks/intermediates.hpp"
#include "tasks/task_checks.hpp"
#include "tasks/task_record.hpp"
#include "troupe/platform/chip_program_abi.h"
#include "troupe/runtime/access.hpp"

namespace troupe::platform::sim {

/// From what a chip program asks for to a record and what the graph has to know of it: arguments become
/// descriptors and accesses, outputs get intermediates. Knows no graph beyond those, and starts nothing. The
/// program's thread alone, with the baton; `at_once` while it is alone.
///
/// A function that answers null, 0 or false has noted why: `take_refusal` says so once.
class TaskBuilder {
 public:
  TaskBuilder(TaskRecords& records, const DeviceMemory& memory, Intermediates& intermediates,
              TaskChecks& checks)
      : records_(records), memory_(memory), intermediates_(intermediates), checks_(checks) {}

  /// Of a run that got these arguments.
  void begin(std::span<const runtime::Tensor> arguments, bool edges_by_hand);

  /// What a task runs, by lane; `entry` is the first of them.
  struct Kernels {
    KernelEntry* lanes[3] = {};
    std::uint32_t count = 0;
    KernelEntry* entry = nullptr;
    bool is_signed = false;  ///< some have a signature
  };

  /// A record of the task; gives memory to the outputs that it wants, and writes them into its arguments.
  TaskRecord* build(troupe_chip_task_v1& task, const Kernels& kernels);
  /// The same for a task that comes with descriptors; its new tensors have no address yet. `nameless`: what a
  /// task without a kernel is called.
  TaskRecord* build(const DescribedTask& task, KernelEntry& nameless);
  /// A task without a kernel that writes one element, or all.
  TaskRecord* build_store(const runtime::Tensor& tensor, std::uint64_t element, std::uint64_t value,
                          bool everywhere, KernelEntry& entry);
  /// The same as build(), for a task that runs before the graph could learn of it. Null: it has arguments
  /// that this cannot take, which build() may (and nothing is noted).
  TaskRecord* build_at_once(const troupe_chip_task_v1& task, KernelEntry& entry, std::uint32_t lane);

  /// Tensors that no task has yet: what the graph has to know of them is in accesses() then. False: one of
  /// them is none of this chip's.
  bool note_accesses(std::span<const GraphSlots::Slot> tensors);

  /// The accesses of the last task, valid until the next.
  std::span<const runtime::Access> accesses() const noexcept { return accesses_; }
  /// The graph has taken it as `task`: its outputs are that task's.
  void own_outputs(TaskRecord& record, std::uint64_t task);

  /// A new intermediate for an argument that asks for one.
  bool give_memory(troupe_chip_argument_v1& argument);
  /// Where a tensor's buffer lies; 0: it has no memory (nothing noted), or is none of the chip's.
  std::uint64_t address_of(const runtime::Tensor& tensor);

  std::optional<Error> take_refusal() noexcept { return std::exchange(refusal_, std::nullopt); }

 private:
  TaskRecord* blank(const troupe_chip_task_v1& task);
  [[gnu::always_inline]] inline bool describe_argument(TaskRecord& record, std::uint32_t index,
                                                       const troupe_chip_argument_v1& argument);
  bool add_tensor(TaskRecord& record, std::uint32_t index, const runtime::Tensor& tensor, runtime::Tag tag);
  bool add_arguments(TaskRecord& record, troupe_chip_task_v1& task);
  bool add_described(TaskRecord& record, std::uint32_t index, const DescribedTensor& argument);
  bool add_new(TaskRecord& record, std::uint32_t index, const DescribedTensor& argument);
  bool add_predicate(TaskRecord& record, const DescribedTensor& tensor);
  bool check_signatures(const TaskRecord& record);
  bool check_predicate(const troupe_chip_predicate_v1& predicate);
  bool is_argument(const runtime::Tensor& tensor) const noexcept {
    const std::uint64_t begin = tensor.buffer().offset, end = begin + tensor.buffer_bytes();
    for (const auto& [from, to] : argument_ranges_) {
      if (begin >= from && end <= to) return true;
    }
    return false;
  }
  bool known_address(const runtime::Tensor& tensor);
  bool refuse(Error why);

  TaskRecords& records_;
  const DeviceMemory& memory_;
  Intermediates& intermediates_;
  TaskChecks& checks_;
  bool edges_by_hand_ = false;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> argument_ranges_;  ///< memory that is the run's
  std::vector<runtime::Access> accesses_;
  std::vector<runtime::Box> boxes_;
  std::optional<Error> refusal_;
};

}  // namespace troupe::platform::sim

#pragma once

// The parts of a chip's engine, put together up to the schedule, without threads of its own that run kernels:
// a test calls what a thread would.
#include <chrono>
#include <cstdint>
#include <deque>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/deadlock.hpp"
#include "engine/deferrals.hpp"
#include "engine/schedule.hpp"
#include "tasks/tasks.hpp"

namespace troupe::platform::sim::test {

inline constexpr std::size_t mebibyte = std::size_t{1} << 20;

/// A vector of i32 of its own memory on the chip.
inline runtime::Tensor vector_in(DeviceMemory& memory, std::uint32_t elements) {
  const auto address = memory.allocate(elements * 4, "a vector").value();
  return runtime::Tensor::create({.arena = 0, .generation = 0, .offset = address}, elements * 4, 0,
                                 {elements}, runtime::DType::i32)
      .value();
}
inline std::int32_t* elements_of(const runtime::Tensor& tensor) {
  return reinterpret_cast<std::int32_t*>(tensor.buffer().offset);
}

struct ChipParts {
  class Kernels final : public KernelHost {
   public:
    using KernelHost::KernelHost;

   private:
    void about_to_park(CoreSlot& /*core*/, bool /*local*/) override {}
  };

  explicit ChipParts(bool checked = false, const troupe_host* table = nullptr)
      : host(table),
        memory(64 * mebibyte, checked),
        intermediates(memory, mebibyte, checked),
        checks(memory, intermediates, checked) {}
  ~ChipParts() { threads.close(std::chrono::steady_clock::time_point::max()); }

  void begin(std::initializer_list<runtime::Tensor> arguments = {}, bool edges_by_hand = false,
             std::uint32_t clusters = 2, std::uint32_t task_window = 16) {
    const std::vector<runtime::Tensor> all(arguments);
    runtime::TaskGraphConfig config;
    config.arena_bytes.fill(mebibyte);
    config.task_window = task_window;
    traces.begin(run);
    whereabouts.begin();
    checks.begin_run(edges_by_hand);
    builder.begin(all, edges_by_hand);
    deferrals.begin(kernels, false);
    schedule.begin(config, clusters, kernels.flags());
    intermediates.begin(schedule.graph(), mebibyte);
    deadlock.begin(kernels.flags(), task_window, false);
  }

  KernelEntry& kernel(const char* name) {
    KernelEntry& entry = entries.emplace_back();
    entry.name = name;
    entry.code.name = entry.name.c_str();
    return entry;
  }

  struct Argument {
    runtime::Tensor tensor;
    runtime::Tag tag;
    std::uint32_t flags = 0;
    std::uint64_t initial = 0;
  };
  /// Of one vector kernel, and what the program handed in comes back in `packed`.
  TaskRecord* build(KernelEntry& entry, const std::vector<Argument>& arguments, std::uint32_t blocks = 1) {
    packed.clear();
    for (const auto& argument : arguments) {
      auto& next = packed.emplace_back();
      pack(argument.tensor, next.tensor);
      next.tag = static_cast<std::uint32_t>(argument.tag);
      next.flags = argument.flags;
      next.initial = argument.initial;
    }
    troupe_chip_task_v1 task{};
    task.size = sizeof task;
    task.arguments = packed.data();
    task.argument_count = static_cast<std::uint32_t>(packed.size());
    task.blocks = blocks;
    TaskBuilder::Kernels lanes;
    lanes.lanes[TROUPE_CHIP_AIV0] = lanes.entry = &entry;
    lanes.count = 1;
    lanes.is_signed = !entry.signature.empty();
    return builder.build(task, lanes);
  }
  /// Puts it into the graph, as a kind of the caller's choice.
  TaskRecord* submit(TaskRecord* record, Kind kind, std::uint32_t events = 0) {
    record->kind = kind;
    runtime::TaskSpec spec;
    spec.name = record->entry->name;
    spec.cookie = reinterpret_cast<std::uint64_t>(record);
    spec.kind = kind;
    spec.events = events;
    spec.accesses = builder.accesses();
    record->id = schedule.graph().submit(spec).value();
    builder.own_outputs(*record, to_number(record->id));
    return record;
  }
  TaskRecord* submit_new(const std::vector<Argument>& arguments, Kind kind = kinds::short_aiv) {
    return submit(build(kernel("k"), arguments), kind);
  }

  HostServices host;
  DeviceMemory memory;
  WindowSet windows{memory, false};
  CoreThreads threads{host};
  Run run;
  Kernels kernels{host, memory, windows, run};
  std::deque<KernelEntry> entries;
  std::vector<troupe_chip_argument_v1> packed;

  TaskRecords records;
  Intermediates intermediates;
  TaskChecks checks;
  TaskTraces traces{host};
  TaskBuilder builder{records, memory, intermediates, checks};
  Pace pace;
  GraphReplays replays{records, pace};
  Whereabouts whereabouts;
  Bell bell;
  std::function<void(Deferrals::Deferral&)> when_over;
  Deferrals deferrals{threads, whereabouts, [this](Deferrals::Deferral& over) { when_over(over); },
                      [] { return std::optional<std::uint64_t>(); }};
  Schedule schedule{{.records = records,
                     .intermediates = intermediates,
                     .checks = checks,
                     .traces = traces,
                     .replays = replays,
                     .deferrals = deferrals,
                     .threads = whereabouts,
                     .bell = bell},
                    2};
  DeadlockProof deadlock{schedule, whereabouts};
};

}  // namespace troupe::platform::sim::test

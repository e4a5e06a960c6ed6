#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernels/kernels.hpp"
#include "troupe/platform/chip_program_abi.h"
#include "troupe/runtime/kernel_abi.hpp"
#include "troupe/runtime/task_graph.hpp"

namespace troupe::platform::sim {

/// A kernel as a chip program names it, and what the chip has learnt about it. Kept for the life of the chip.
struct KernelEntry {
  KernelCode code;
  std::string name;
  std::uint64_t callable = 0;                 ///< the number it is registered under, of foreign code
  std::atomic<std::uint32_t> usual_ticks{0};  ///< 0: never measured
  /// It may wait inside, for a flag or (foreign code) for anything: it never shares a thread with other
  /// tasks.
  std::atomic<bool> waits{false};
  bool never_waits = false;     ///< nothing in its module calls our wait
  std::uint8_t unmeasured = 0;  ///< calls until the next that is measured, of those that are run at once
  std::vector<std::uint8_t> signature;  ///< of foreign code, as registered; empty: not checked
};

struct GraphReplay;

/// Sets the memory of a new tensor before its task runs.
struct Fill {
  bool wanted = false;
  std::uint64_t element = 0;
};

/// Ready queues of on-chip tasks; even ones are for matrix cores. Quick and short: by what their kernels took
/// so far. Lone ones may wait for others, so each has a thread to itself.
namespace kinds {
enum Kind : std::uint8_t {
  quick_aic,
  quick_aiv,
  short_aic,
  short_aiv,
  aic,
  aiv,
  lone_aic,
  lone_aiv,
  set,   ///< of several blocks or lanes
  node,  ///< nothing to run
  graph  ///< a replay, which is many tasks
};
}  // namespace kinds
using kinds::Kind;

/// One on-chip task: what it runs and on what. Made at submit, given back when the task has ended. The arrays
/// lie behind it and hold `capacity` tensors.
struct alignas(64) TaskRecord {
  /// Starts to load what running it takes.
  void prefetch() const noexcept {
    constexpr std::size_t line = 64;
    const auto* bytes = reinterpret_cast<const std::byte*>(this);
    __builtin_prefetch(bytes, 1);
    __builtin_prefetch(bytes + line);
    __builtin_prefetch(bytes + sizeof(TaskRecord));  // the first tensor's descriptor
  }

  /// What runs on that lane. A single task runs on any core of its kind.
  const KernelEntry& kernel_on(std::uint32_t lane) const noexcept {
    if (lane_count == 1 || lanes[lane] == nullptr) return *entry;
    return *lanes[lane];
  }

  // What running it takes: two cache lines, which go from the thread that submits to the one that runs it.
  runtime::TaskId id;
  KernelEntry* entry = nullptr;  ///< the first used lane
  runtime::TensorDescriptor* tensors = nullptr;
  GraphReplay* replay =
      nullptr;  ///< which it is a step of, or (kind graph) stands for; null: a task of its own
  std::unique_ptr<Error> failure;
  /// What its kernels have started and left to be completed later: it has ended when this holds, too.
  std::unique_ptr<std::vector<FlagCondition>> deferred;
  std::uint8_t kind = 0;  ///< enum Kind
  bool sync_start = false;
  bool has_predicate = false;
  bool has_fills = false;
  bool is_symbolic = false;        ///< some address is known only at dispatch
  bool skipped = false;            ///< its predicate did not hold
  bool is_store = false;           ///< no kernel: writes scalars[0] to element scalars[1] of tensor 0
  bool is_listed = false;          ///< among the live tasks
  bool is_follower = false;        ///< a step that comes directly behind its only producer in a batch
  std::int32_t timing_slot = -1;   ///< of the run; -1: none
  bool is_unordered = false;       ///< it touches bytes without taking part in dependencies
  std::uint32_t tensor_count = 0;  ///< as the kernel sees them
  std::uint32_t scalar_count = 0;
  std::uint32_t lane_count = 1;
  std::uint32_t blocks = 1;
  std::array<KernelEntry*, 3> lanes{};  ///< by enum troupe_chip_lane
  std::uint32_t next_block = 0;
  std::uint32_t pieces_left = 1;  ///< kernel calls that have not ended
  std::uint64_t scalars[runtime::limits::core_scalars];
  std::uint8_t scalar_kinds[runtime::limits::core_scalars];

  TaskRecord *newer = nullptr, *older = nullptr;  ///< of the live tasks, with edges by hand
  std::uint32_t capacity = 0;
  std::uint32_t extra_tensors = 0;  ///< behind those that the kernel sees: the predicate's
  std::uint64_t expanded_by = 0;    ///< the replay whose layouts its tensors still have; 0: they are its own
  std::uint32_t step = 0;           ///< which of its replay
  std::uint32_t follower = 0;       ///< the step that comes directly behind it in its batch; its own: none
  std::uint32_t expanded = 0;       ///< and how many of them
  std::uint64_t allocated = 0;      ///< a bit for each tensor that was made for this task
  std::uint64_t dumped = 0;         ///< a bit for each argument that a dump is to show, tensors first
  bool dumps_scalars = false;       ///< those too: what they are is known,
  std::uint8_t scalar_dtypes[runtime::limits::core_scalars];  ///< namely this
  runtime::BufferRef* buffers = nullptr;                      ///< symbolic ones get their address at dispatch
  Fill* fills = nullptr;
  runtime::Tag* tags = nullptr;
  std::uint16_t* layouts = nullptr;  ///< of those that were expanded
  troupe_chip_predicate_v1 predicate{};
  std::uint32_t depth = 0;  ///< of its scope
  std::uint64_t number = 0, submitted_ns = 0, dispatched_ns = 0;
};

/// One kernel call to be made: a block of a task on a core.
struct Piece {
  TaskRecord* task = nullptr;
  std::uint32_t block = 0, lane = 0, cluster = 0;

  std::uint32_t core() const noexcept { return core_number(cluster, lane); }
  static std::uint32_t core_number(std::uint32_t cluster, std::uint32_t lane) noexcept {
    return lane == TROUPE_CHIP_AIC ? CoreBoard::aic(cluster) : CoreBoard::aiv(cluster * 2 + (lane - 1));
  }
};

/// A task of the graph as a chip program knows it.
constexpr std::uint64_t to_number(runtime::TaskId id) noexcept {
  return std::uint64_t{id.generation} << 32 | id.slot;
}
constexpr runtime::TaskId to_task(std::uint64_t number) noexcept {
  return {.slot = static_cast<std::uint32_t>(number), .generation = static_cast<std::uint32_t>(number >> 32)};
}

/// Memory for records, in a few sizes, reused in last-in-first-out order so that it stays in the cache. One
/// owner at a time.
class TaskRecords {
 public:
  TaskRecords() = default;
  TaskRecords(TaskRecords&&) = default;
  TaskRecords& operator=(TaskRecords&& other) noexcept {
    std::swap(free_, other.free_);
    std::swap(all_, other.all_);
    std::swap(slabs_, other.slabs_);
    return *this;
  }
  ~TaskRecords();

  TaskRecord* take(std::uint32_t tensors) {
    TaskRecord* record = take_again(tensors);
    record->expanded_by = 0;
    return record;
  }
  /// For a step of a replay: it may be the record of another one, whose tensors are mostly alike.
  TaskRecord* take_again(std::uint32_t tensors) {
    const std::size_t size_class = class_of(tensors);
    if (free_[size_class].empty()) grow(size_class);
    TaskRecord* record = free_[size_class].back();
    free_[size_class].pop_back();
    return record;
  }
  /// Starts to load the record that a later take() for as many tensors may give.
  void prefetch(std::uint32_t tensors) const noexcept;
  void give_back(TaskRecord* record) noexcept {
    if (record->failure != nullptr) record->failure.reset();
    if (record->deferred != nullptr) record->deferred.reset();
    if (record->replay != nullptr) {
      record->replay = nullptr;
      record->is_follower = false;
    }
    free_[record->capacity].push_back(record);
  }

 private:
  static constexpr std::array<std::uint32_t, 3> sizes{4, 12, 33};
  struct Deleter {
    void operator()(std::byte* slab) const noexcept;
  };
  static std::size_t class_of(std::uint32_t tensors) noexcept {
    std::size_t size_class = 0;
    while (sizes[size_class] < tensors) ++size_class;
    return size_class;
  }
  void grow(std::size_t size_class);

  /// Stacks, not lists: the next one is known without a look at what another thread has just written.
  std::array<std::vector<TaskRecord*>, sizes.size()> free_;
  std::vector<TaskRecord*> all_;
  std::vector<std::unique_ptr<std::byte, Deleter>> slabs_;
};

}  // namespace troupe::platform::sim

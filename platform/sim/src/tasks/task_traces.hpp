#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/kernels.hpp"
#include "runs/runs.hpp"
#include "tasks/task_record.hpp"
#include "threads/threads.hpp"
#include "troupe/runtime/access.hpp"

namespace troupe::platform::sim {

/// Trace events and tensor dumps of a run that asks for them. What is wanted is fixed at the run's begin and
/// read by any thread; dumps are made by any thread; everything else is done with the baton, or when no
/// thread but the program's is left.
class TaskTraces {
 public:
  static constexpr std::size_t timing_slots = 16;
  explicit TaskTraces(HostServices& host) : host_(host) {}

  void begin(const Run& run) noexcept;
  bool traces() const noexcept { return traces_; }
  bool dumps() const noexcept { return dumps_; }
  bool any() const noexcept { return traces_ || dumps_; }
  std::uint64_t now() const noexcept { return host_.now(); }

  /// Gives a task that is about to be submitted its number in the trace.
  void number(TaskRecord& task, std::uint32_t depth);
  /// It is in the graph. The graph keeps its edges to itself; a trace is worth finding them again.
  void submitted(const TaskRecord& task, std::span<const runtime::Access> accesses,
                 std::span<const std::uint64_t> after);
  /// Numbers of as many tasks as are about to be replayed; the first one.
  std::uint64_t numbers(std::uint32_t count) noexcept {
    last_number_ += count;
    return last_number_ - count + 1;
  }
  /// A task that was not submitted has to come after another, by their numbers.
  void follows(std::uint64_t number, std::uint64_t producer) { producers_[number].push_back(producer); }
  /// One call of a kernel, made on the core of `slot`.
  static troupe_trace_event event_of(const Piece& piece, const CoreSlot& slot, std::uint64_t begin,
                                     std::uint64_t end);
  void add(const troupe_trace_event& event) { events_.push_back(event); }
  /// A kernel of a task that is timed has run. From the first to the last of a slot is its time.
  void time(std::int32_t slot, std::uint64_t begin, std::uint64_t end) noexcept;
  /// Logs the time of every slot that was used; the run is over.
  void tell_times(const std::string& program);
  /// Hands everything over to the host; the run is over.
  void deliver();

  /// The task's tensors, before or after its kernel.
  void dump(const TaskRecord& task, bool after) const;

 private:
  /// Which task touched these bytes last.
  struct Touch {
    runtime::Access access;
    runtime::Box box;
    std::uint64_t number;
  };

  struct Time {
    std::uint64_t begin = 0, end = 0, kernels = 0;
  };
  troupe_dump_record dump_of(const TaskRecord& task, std::uint32_t argument, bool after) const;
  void dump_scalars(const TaskRecord& task) const;

  HostServices& host_;
  std::array<Time, timing_slots> times_{};
  bool traces_ = false, dumps_ = false;
  std::uint64_t correlation_ = 0;
  std::uint64_t last_number_ = 0;
  std::vector<troupe_trace_event> events_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, std::vector<Touch>> touches_;  ///< by buffer
  std::map<std::uint64_t, std::vector<std::uint64_t>> producers_;                  ///< numbers, by number
  std::map<std::uint64_t, std::uint64_t> numbers_;  ///< a program's task → its number in the trace
};

}  // namespace troupe::platform::sim

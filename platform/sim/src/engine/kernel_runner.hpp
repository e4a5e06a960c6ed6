#pragma once

#include <cstdint>
#include <utility>

#include "engine/baton.hpp"
#include "engine/schedule.hpp"
#include "graphs/graphs.hpp"
#include "kernels/kernels.hpp"
#include "tasks/tasks.hpp"

namespace troupe::platform::sim {

/// The argument words of the calls that one thread makes; unused ones are zero.
struct ArgumentWords {
  std::int64_t words[runtime::limits::kernel_words] = {};
  std::uint32_t used = 0;
  bool measures = false;    ///< whether calls are timed,
  std::uint64_t taken = 0;  ///< how many ticks the last such call took,
  std::uint64_t total = 0;  ///< and those of a batch together
};

/// Runs what was taken, on the calling thread and without the baton: from records to calls of kernels, and
/// what the calls teach about them. A task is touched by the threads that run it alone, its failure and what
/// it defers with the baton, which this takes for that.
class KernelRunner {
 public:
  KernelRunner(Baton& baton, CoreBoard& board, Pipes& pipes, const Schedule& schedule, TaskTraces& traces)
      : baton_(baton), board_(board), pipes_(pipes), schedule_(schedule), traces_(traces) {}

  void begin(KernelHost& kernels) noexcept { kernels_ = &kernels; }

  /// Looks at the predicate of a task, and fills its new tensors.
  static void prepare(TaskRecord& task);

  void run(Batch& batch, ArgumentWords& words);
  void run(const Piece& piece, ArgumentWords& words);
  /// `piece` is the only task of the batch, which the graph does not know. Times one call out of some.
  /// Inlined: a call is seen in what a task costs.
  [[gnu::always_inline]] inline void run_alone(Batch& batch, const Piece& piece, ArgumentWords& words);

 private:
  void call(const Piece& piece, CoreSlot& core, ArgumentWords& words);
  void note(const Piece& piece, const CoreSlot& core, std::uint64_t begin, bool failed);

  Baton& baton_;
  CoreBoard& board_;
  Pipes& pipes_;
  const Schedule& schedule_;
  TaskTraces& traces_;
  KernelHost* kernels_ = nullptr;
};

inline void KernelRunner::run_alone(Batch& batch, const Piece& piece, ArgumentWords& words) {
  KernelEntry& entry = *piece.task->entry;
  CoreSlot& core = board_.core(piece.core());
  core.batch = &batch;
  core.enter(entry.code.name, 0, ticks());
  words.measures = entry.unmeasured == 0;
  words.taken = 0;
  call(piece, core, words);
  words.measures = false;
  core.leave();
  core.batch = nullptr;
  if (std::exchange(core.has_waited, false)) [[unlikely]] {
    entry.waits.store(true, std::memory_order_relaxed);
  } else if (entry.unmeasured != 0) {
    --entry.unmeasured;
  } else if (words.taken != 0) {
    Pace::learn(entry, words.taken);
    if (words.taken < ticks_per_microsecond() / 4) entry.unmeasured = 7;
  }
}

}  // namespace troupe::platform::sim

#pragma once

// What executors are and what they are doing, as plain values: a snapshot, out of date when it is read. Safe
// on any thread; no errors.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace troupe::actors {

enum class ExecutorKind : std::uint8_t { chip, sub_worker, worker };

/// The facts about an executor that do not change.
struct ExecutorInfo {
  ExecutorKind kind = ExecutorKind::chip;
  std::string name;           ///< "chip3", "sub0", "node1"
  std::string architecture;   ///< of a chip: "a2a3sim"
  std::uint32_t credit = 64;  ///< requests it takes before it wants answers to be taken
  std::uint64_t memory_bytes = 0;
  std::uint64_t moves = 0;  ///< of a chip: with all that say the same, bytes go directly; 0: with none
};

enum class ExecutorState : std::uint8_t {
  starting,  ///< being brought up, or restarted
  up,        ///
  lost,      ///< died; about to be restarted
  retired,   ///< restarted too often, or removed
};
constexpr std::string_view name_of(ExecutorState state) noexcept {
  switch (state) {
    case ExecutorState::starting:
      return "starting";
    case ExecutorState::up:
      return "up";
    case ExecutorState::lost:
      return "lost";
    case ExecutorState::retired:
      return "retired";
  }
  return "?";
}

/// What a node has learned of the tasks of a callable on its chips.
struct LearnedCost {
  std::string callable;
  std::uint64_t bytes = 0;           ///< of their tensors: from so many on, to half as many more at most
  std::chrono::nanoseconds takes{};  ///< the latest ones count most
  std::uint64_t count = 0;
};

/// The current work of an executor. Workers list their executors.
struct ExecutorStatus {
  std::string name;
  std::string state;         ///< in words
  std::uint64_t queued = 0;  ///< requests taken and not started
  std::uint64_t running = 0;
  std::uint64_t completed = 0;  ///< well, since it came up
  std::uint64_t failed = 0;     ///< ended otherwise
  std::uint32_t restarts = 0;
  std::uint64_t memory_used = 0;         ///< of a chip, bytes: device tensors, windows, what runs
  std::uint64_t memory_cached = 0;       ///< of a chip, bytes: copies of tensors, which may go
  std::uint64_t memory_peak = 0;         ///< of a chip, bytes: the most of both together
  std::uint64_t windows = 0;             ///< of a chip: its parts of communication domains
  std::uint32_t runs = 0;                ///< of a worker: programs in flight
  std::vector<std::string> busy;         ///< one sentence per busy core or function
  std::vector<ExecutorStatus> children;  ///< of a worker
  std::vector<LearnedCost> learned;      ///< of a worker whose placement learns
};

}  // namespace troupe::actors

#pragma once

// Where tasks go that are bound to no chip: the policies that ship, and what one of a user's own is shown. A
// policy is a value in the configuration of a node. The node's worker calls it once for each such task, when
// at least one chip can take it; one call at a time, on any thread. It must be quick and must not wait. What
// depends on nothing but what it is shown is the same again in the deterministic mode.
// Errors: a task whose policy throws, or answers with a number that stands for no chip, fails with
// bad_argument.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "troupe/runtime/export.hpp"

namespace troupe::actors {

/// A task that could go to any chip. The texts are good for the call.
struct TaskToPlace {
  std::string_view callable;
  std::string_view name;    ///< its own, else the callable's
  std::uint64_t bytes = 0;  ///< of its tensors
  int priority = 0;
};

/// A chip that can take the task now.
struct ChipForTask {
  std::int32_t chip = 0;
  std::uint32_t tasks = 0;            ///< that are there and have not ended
  std::chrono::nanoseconds busy{};    ///< until they have ended, as far as is known how long they take
  std::uint64_t missing = 0;          ///< bytes that the task reads and that are not there
  std::chrono::nanoseconds brings{};  ///< how long it may take to bring them
  std::optional<std::chrono::nanoseconds>
      takes;  ///< how long the task may take; none: none like it has ended
};

/// Answers with the place of the chosen chip in the list, which is never empty and in the order of the chips'
/// numbers.
using PlacementPolicy = std::function<std::size_t(const TaskToPlace&, std::span<const ChipForTask>)>;

/// The chip with the fewest tasks; of several the one that lacks the fewest bytes.
TROUPE_API std::size_t least_loaded(const TaskToPlace& task, std::span<const ChipForTask> chips);
/// The chip that lacks the fewest bytes; of several the one with the fewest tasks.
TROUPE_API std::size_t where_the_data_is(const TaskToPlace& task, std::span<const ChipForTask> chips);
/// The chip on which the task ends first, by what was learned of tasks of its callable and size, of the tasks
/// before it, and of copies. As long as nothing is known of it: `least_loaded`.
TROUPE_API std::size_t earliest_finish(const TaskToPlace& task, std::span<const ChipForTask> chips);

}  // namespace troupe::actors

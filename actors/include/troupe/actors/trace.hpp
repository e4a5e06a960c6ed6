#pragma once

// What a run looked like: the data model that the trace sink fills, that is written as a Chrome / Perfetto
// file, and that `troupe trace` and tests read back. Plain values that own their texts; one user at a time,
// or many readers. No errors, except that Trace::text() throws std::out_of_range for a number that it does
// not have.
//
// All times are nanoseconds since the trace began, `unknown_time` where a time is not known.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "troupe/runtime/export.hpp"

namespace troupe::actors {

inline constexpr std::int64_t unknown_time = -1;
/// Version of the file's `troupe` section; a reader refuses a newer one.
inline constexpr int trace_version = 1;

/// The kinds of spans.
enum class SpanKind : std::uint8_t {
  aic,      ///< a kernel on a cube core
  aiv,      ///< a kernel on a vector core
  chip,     ///< a task of a node as its chip sees it (its kernels are spans of their own)
  sub,      ///< a host function
  program,  ///< an orchestration program, submitted from `main` or from a level above
  domain,   ///< the life of a communication domain
  move,     ///< bytes between host memory and a chip
  mark      ///< a moment, not a duration: only `start` is set
};

/// The longest wait of a task before it started.
enum class WaitReason : std::uint8_t {
  none,
  data,    ///< a producer had not finished
  core,    ///< ready, but no core (or no credit of an executor) was free
  gang,    ///< ready, but not all members of its group were
  window,  ///< a peer's flag in a window, or the window itself
  room     ///< back-pressure: the submitter had to wait
};

enum class TaskOutcome : std::uint8_t {
  ok,
  failed,
  poisoned,  ///< never ran: something it depends on failed
  cancelled  ///< never ran, or was aborted while it did
};

enum class EdgeKind : std::uint8_t {
  raw,   ///< reads what the producer wrote
  waw,   ///< overwrites what the producer wrote
  war,   ///< overwrites what the producer read
  after  ///< asked for by the user
};

[[nodiscard]] TROUPE_API const char* name_of(SpanKind kind) noexcept;
[[nodiscard]] TROUPE_API const char* name_of(WaitReason reason) noexcept;
[[nodiscard]] TROUPE_API const char* name_of(TaskOutcome outcome) noexcept;
[[nodiscard]] TROUPE_API const char* name_of(EdgeKind kind) noexcept;

/// The number of a task in a trace: tasks that a host submitted count up in the high half; below them are the
/// member of a group (11 bits, 0: no group) and the kernels of a chip program (21 bits). For people: "17",
/// "17.3" for kernel 3 of chip task 17, "17:1.3" for kernel 3 of member 1 of group 17. 0: no task.
using TaskId = std::uint64_t;
inline constexpr TaskId task_step = TaskId{1} << 32;
inline constexpr TaskId member_step = TaskId{1} << 21;
inline constexpr std::uint64_t most_members = task_step / member_step - 1;
/// The number of the task that member `member` of a group launches; `chip_task` of it numbers its kernels.
constexpr TaskId member_task(TaskId group, std::uint32_t member) noexcept {
  return group | (member % most_members + 1) * member_step;
}
/// `number` is below `member_step`.
constexpr TaskId chip_task(TaskId launched, std::uint32_t number) noexcept {
  return launched | number % member_step;
}
constexpr TaskId host_task_of(TaskId task) noexcept { return task / task_step * task_step; }
[[nodiscard]] TROUPE_API std::string task_label(TaskId task);

/// Numbers that the sink (or a reader) gave to a lane or a text. Text 0 is always the empty one.
using LaneId = std::uint32_t;
using TextId = std::uint32_t;

/// Where something happened. `process` is the path of the actor ("node0/chip3"), `thread` its core or part
/// ("aiv5", "tasks", "runs").
struct TraceLane {
  std::string process;
  std::string thread;

  friend bool operator==(const TraceLane&, const TraceLane&) = default;
};

/// One part of one task: an ordinary task has one span, a mixed task one per core, a group one per rank. A
/// task that never ran has one span without `start`.
struct TraceSpan {
  TaskId task = 0;    ///< unique in the trace; 0: not a task
  TaskId parent = 0;  ///< the task it is a part of: the chip task of a kernel, the run of a chip task
  LaneId lane = 0;
  TextId name = 0;
  TextId callable = 0;
  TextId tags = 0;   ///< how it uses its arguments: "in a, in b, out c"
  TextId error = 0;  ///< why it failed or was poisoned
  SpanKind kind = SpanKind::chip;
  WaitReason wait = WaitReason::none;
  TaskOutcome outcome = TaskOutcome::ok;
  std::uint8_t attempt = 0;    ///< 0 for the first try
  std::int32_t function = -1;  ///< the callable's number where it has one
  std::uint16_t ring = 0;      ///< scope depth: the arena its outputs live in
  std::uint16_t part = 0;      ///< rank, block or lane within its task
  std::int64_t submitted = unknown_time;
  std::int64_t ready = unknown_time;       ///< all producers done
  std::int64_t dispatched = unknown_time;  ///< handed to the executor
  std::int64_t start = unknown_time;       ///< on the core
  std::int64_t end = unknown_time;         ///< on the core
  std::int64_t finished = unknown_time;    ///< its end known to its scheduler
  std::int64_t window_wait = 0;            ///< time within start…end spent waiting for a peer
  std::uint64_t bytes = 0;                 ///< of a move

  bool ran() const noexcept { return start != unknown_time && end != unknown_time; }
  std::int64_t duration() const noexcept { return ran() ? end - start : 0; }
};

/// `to` had to wait for `from`.
struct TraceEdge {
  TaskId from = 0;
  TaskId to = 0;
  EdgeKind kind = EdgeKind::raw;
};

/// A whole trace, as taken from a sink or read from a file.
struct Trace {
  std::vector<TraceLane> lanes;
  std::vector<std::string> texts = {""};
  std::vector<TraceSpan> spans;  ///< sorted by start; spans that never ran stand last
  std::vector<TraceEdge> edges;  ///< sorted by (to, from), no duplicates
  std::vector<std::pair<std::string, std::string>> metadata;  ///< "platform" → "a2a3sim", …
  std::uint64_t dropped = 0;                                  ///< events that did not fit the sink's bound

  const std::string& text(TextId id) const { return texts.at(id); }
};

/// The order in which lanes are shown, a person's: "chip2" before "chip10".
[[nodiscard]] TROUPE_API bool natural_less(std::string_view a, std::string_view b);

/// Brings spans and edges into the order promised above.
TROUPE_API void normalize(Trace& trace);

}  // namespace troupe::actors

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "troupe/actors/trace.hpp"

namespace troupe::apps {

/// How busy one lane, or all lanes of one process, were.
struct Utilisation {
  std::string process;
  std::string thread;  ///< empty for a process as a whole
  std::size_t spans = 0;
  std::size_t lanes = 1;  ///< of a process: how many cores it used
  std::int64_t busy = 0;  ///< overlapping spans of a lane count once
  double share = 0;       ///< of the trace's length, per lane
};

/// What all spans of one callable took together: a chip task and the kernels in it are told apart.
struct CallableTimes {
  std::string name;
  actors::SpanKind kind{};
  std::size_t count = 0;
  std::int64_t total = 0, least = 0, most = 0;
};

/// Where time was lost: summed over all tasks and kernels that waited for this reason.
struct WaitTimes {
  actors::WaitReason reason{};
  std::size_t spans = 0;
  std::int64_t total = 0, most = 0;
  actors::TaskId worst = 0;
};

/// What went between host memory and one chip, one way.
struct MovedBytes {
  std::string chip;
  std::string way;  ///< "to the chip", "from another chip", "to host memory"
  std::size_t count = 0;
  std::uint64_t bytes = 0;
  std::int64_t total = 0;
};

/// What a trace says about a run. Indexes are into `Trace::spans`.
struct Analysis {
  std::int64_t length = 0;  ///< from the first event to the last
  std::size_t tasks = 0;  ///< that programs submitted, of all levels; a kernel or a run of a program is none
  std::size_t failed = 0, poisoned = 0, cancelled = 0;
  /// In natural order, those where something ran. A chip's is that of its cores that ran something; its tasks
  /// as the node sees them do not count, unless no core told anything.
  std::vector<Utilisation> processes;
  std::vector<Utilisation> lanes;
  std::vector<CallableTimes> callables;  ///< most total time first
  std::vector<std::size_t> longest;      ///< spans, longest first, at most as many as were asked for
  std::vector<std::size_t> critical;     ///< spans along the longest chain of dependent tasks, in order
  std::int64_t critical_length = 0;      ///< sum of their durations
  std::vector<WaitTimes> waits;          ///< most time first; only reasons that occur
  std::vector<MovedBytes> moves;         ///< in natural order of the chips
  bool cyclic = false;                   ///< the edges are no order: the file is wrong, no critical path
};

/// Fills in when a task became ready, where nobody could say: one that was queued behind its producers is
/// ready when the last of them has ended.
void infer_ready(actors::Trace& trace);

[[nodiscard]] Analysis analyze(const actors::Trace& trace, std::size_t longest = 10);

/// For people: tables, one screen unless there are many chips. `most_rows` of each.
[[nodiscard]] std::string render_summary(const actors::Trace& trace, const Analysis& analysis,
                                         std::size_t most_rows = 24);

/// For programs: the same figures as one JSON object. Times are nanoseconds, shares of 1.
[[nodiscard]] std::string summary_json(const actors::Trace& trace, const Analysis& analysis);

/// Where something ran: "node0/chip2 aiv1".
[[nodiscard]] std::string place_of(const actors::Trace& trace, const actors::TraceSpan& span);

/// "1.2 ms", "340 ns": three digits and a unit.
[[nodiscard]] std::string render_time(std::int64_t nanos);

}  // namespace troupe::apps

#pragma once

// Where a trace is collected. The System and its actors share the sink. Any thread may record, at any time.
// Errors: recording never fails, events beyond the bounds are counted and dropped; writing a file returns
// cannot_write.

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>

#include "troupe/actors/trace.hpp"
#include "troupe/runtime/export.hpp"
#include "troupe/runtime/result.hpp"

namespace troupe::actors {

/// Collects events while they happen. Created by the System when a trace is asked for (otherwise there is
/// none: tracing off costs a null check), written out when the System ends.
///
/// Every member may be called from any thread at any time. Recording takes no lock and allocates only when a
/// chunk of 4096 events is full (about 100 ns per event, mostly for fresh memory); `lane` and `text` look up
/// a table under a shared lock, so keep their results. Memory is bounded by `Options`: events that do not fit
/// are counted and dropped. Times are readings of the host's steady nanosecond clock; `epoch` is that clock's
/// reading at time 0.
class TROUPE_API TraceSink {
 public:
  struct Options {
    std::int64_t epoch = 0;
    std::size_t max_spans = std::size_t{1} << 20;
    std::size_t max_edges = std::size_t{1} << 21;
    std::size_t max_text_bytes = std::size_t{64} << 20;
  };

  explicit TraceSink(Options options);
  ~TraceSink();
  TraceSink(const TraceSink&) = delete;
  TraceSink& operator=(const TraceSink&) = delete;

  /// The lane of that process path and thread name, made when it is new.
  LaneId lane(std::string_view process, std::string_view thread);
  /// The number of a text, the same for the same text. Texts past the bound share the text "(dropped)".
  TextId text(std::string_view text);

  /// `count` host task numbers that are used nowhere else in this trace: the returned one, never 0, and those
  /// at every `task_step` after it.
  TaskId reserve_tasks(std::uint32_t count = 1) noexcept;

  /// Times in the span are the host's clock readings; the sink takes `epoch` off every known one.
  void record(const TraceSpan& span) noexcept;
  void record(const TraceEdge& edge) noexcept;
  /// A moment worth seeing: a restart, a failure, a cancel.
  void mark(LaneId lane, TextId name, std::int64_t time, TextId what = 0) noexcept;

  /// A fact about the run, e.g. ("platform", "a2a3sim"). The last value of a key wins.
  void describe(std::string_view key, std::string_view value);

  /// Everything recorded so far; events that are being recorded at this moment may be missing.
  Trace snapshot() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Writes the Chrome trace-event format, which Perfetto and chrome://tracing open; one event per line.
///
/// - A process per lane path, a thread per core or part, both named and sorted naturally (chip2 before
///   chip10).
/// - `X` events: category = kind; args: task, callable, outcome, tags, parent, wait, and the times (µs).
/// - `i` events: marks, and tasks that never ran (outcome poisoned or cancelled).
/// - `s`/`f` flow arrows along the dependency edges between spans that ran.
/// - args.after of a task's first span: all its edges, [["17", "raw"], …]. Task numbers are texts.
/// - A top-level `troupe` object: version, dropped, metadata.
/// Failures are the stream's state.
TROUPE_API void write_chrome_trace(const Trace& trace, std::ostream& out);
/// The same into a file, replaced in one step, so that a reader never sees half of it.
[[nodiscard]] TROUPE_API Result<void> write_chrome_trace(const Trace& trace, const std::string& path);

}  // namespace troupe::actors

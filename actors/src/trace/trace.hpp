#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "trace/edge_tracker.hpp"
#include "troupe/actors/protocol.hpp"
#include "troupe/actors/tensor_dump.hpp"
#include "troupe/actors/trace_device.hpp"
#include "troupe/actors/trace_sink.hpp"
#include "troupe/platform/host.hpp"

namespace troupe::actors {

/// What a run tells about a task before it leaves, for whoever runs it. Only while a trace is taken.
struct TaskTrace {
  TaskId task = 0, parent = 0;
  std::int64_t submitted = unknown_time, ready = unknown_time, dispatched = unknown_time;
  TextId name = 0, callable = 0, tags = 0;
  bool group = false;  ///< starts when all of its members can
};

/// The system's trace and tensor dump, if there are any. Shared by runs and executors; any thread.
class Recorder {
 public:
  Recorder(std::shared_ptr<TraceSink> sink, std::shared_ptr<TensorDump> dump,
           std::shared_ptr<platform::Host> clock)
      : sink_(std::move(sink)), dump_(std::move(dump)), clock_(std::move(clock)) {}

  TraceSink& sink() const { return *sink_; }
  TensorDump* dump() const { return dump_.get(); }
  std::int64_t now() const { return static_cast<std::int64_t>(clock_->now()); }

  /// An executor has run a task (or a member of it).
  void ran(LaneId lane, SpanKind kind, const TaskBody& body, const TaskKey& key, std::int64_t start,
           std::int64_t end, const Error* error) const;
  /// Something that was there for a while and is no task: a domain.
  void lived(std::string_view path, std::string_view thread, const std::string& name,
             std::int64_t begin) const;
  /// A moment of an executor: it was restarted, it was lost.
  void mark(std::string_view path, std::string_view what, const std::string& why) const;
  /// A task that will not run.
  void never_ran(LaneId lane, SpanKind kind, const TaskTrace& task, TaskOutcome outcome,
                 const Error* error) const;

 private:
  std::shared_ptr<TraceSink> sink_;
  std::shared_ptr<TensorDump> dump_;
  std::shared_ptr<platform::Host> clock_;
};

/// One run's side of the trace: its program as a span, its tasks' dependencies, and what never ran.
class RunTracer {
 public:
  /// `path`: of the node, e.g. "pod0/node1". `above`: the task of the level above that this run is, or 0.
  RunTracer(std::shared_ptr<const Recorder> recorder, const std::string& path, const std::string& program,
            TaskId above);

  /// In program order; `body` gets its TaskTrace. `after`: explicit edges.
  void submitted(TaskNumber number, TaskBody& body, std::span<const Arguments* const> members);
  void dispatched(const TaskBody& body, bool all_producers_done) const;
  /// A program of the level below has ended (other executors tell themselves).
  void program_ran(const TaskBody& body, const TaskKey& key, const Error* error) const;
  void never_ran(const TaskBody& body, bool poisoned, const Error& error) const;
  void finished(const Error* error) const;
  /// Back-pressure: whether the program waits for room now. Called whenever that may have changed.
  void waits_for_room(bool waits);

 private:
  std::shared_ptr<const Recorder> recorder_;
  LaneId programs_, tasks_;
  TextId program_;
  TaskId above_, run_;
  std::int64_t began_, waits_since_ = unknown_time;
  EdgeTracker tracker_;
  std::vector<TraceEdge> edges_;
  std::unordered_map<TaskNumber, TaskId> ids_;
};

/// One chip's side: its tasks as spans, its device's events and tensor dumps.
class ChipTracer {
 public:
  ChipTracer(std::shared_ptr<const Recorder> recorder, std::string path);

  bool dumps() const { return recorder_->dump() != nullptr; }
  void launched(std::uint64_t correlation, const TaskBody& body, const TaskKey& key);
  /// `started`, `ended`: the device's clock, 0 when unknown.
  void ended(std::uint64_t correlation, const TaskBody& body, const TaskKey& key, std::uint64_t started,
             std::uint64_t ended, const Error* error);
  /// A task of a plan that is a part of one of the run's: `body` gets its TaskTrace.
  void part_of(const TaskBody& whole, TaskBody& body, std::span<const TaskId> producers) const;
  /// Not even launched.
  void refused(const TaskBody& body, const Error& error);
  /// One that the chip does itself, without its device: a copy, a fill.
  void ran(const TaskBody& body, const TaskKey& key, std::int64_t began, const Error* error);
  /// Bytes of a buffer have come to the chip, from host memory or from another chip, or gone to host memory.
  enum class Way : std::uint8_t { to_chip, to_host, from_chip };
  void moved(Way way, std::uint64_t bytes, std::int64_t began, std::int64_t ended, const Error* error);
  std::int64_t now() const { return recorder_->now(); }
  /// From the device's threads.
  void events(std::span<const troupe_trace_event> events) { device_.events(events.data(), events.size()); }
  void dump(const troupe_dump_record& record);

 private:
  std::shared_ptr<const Recorder> recorder_;
  std::string path_;
  LaneId lane_;
  std::optional<LaneId> moves_;  ///< once there is one
  DeviceTrace device_;
};

}  // namespace troupe::actors

#pragma once

// From a device's trace events to spans of a trace. Borrows the sink, which must outlive it. Any thread may
// call anything.
// Errors: none; an event of an unknown run becomes a span without a parent.

#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "troupe/actors/trace_sink.hpp"
#include "troupe/platform/device_abi.h"

namespace troupe::actors {

/// Brings the events that one device reports through the `trace` service of its host table into a sink: a
/// span per kernel on the lane of its core, a child of the task that the host launched. One per device
/// context; the sink outlives it. Any thread may call anything.
class TROUPE_API DeviceTrace {
 public:
  /// `path` is the chip's, e.g. "node0/chip3".
  DeviceTrace(TraceSink& sink, std::string path);

  /// The run `correlation` is the trace's task `task` (`member_task` of a group's member) and starts now or
  /// later. Tell before launching.
  void launched(std::uint64_t correlation, TaskId task);
  /// Its events are all there; forgets the number. Tell when its completion has arrived.
  void completed(std::uint64_t correlation);

  /// The task of a run that was launched and has not completed; 0 for others.
  TaskId task_of(std::uint64_t correlation);

  /// Takes the events from the `trace` entry of troupe_host.
  void events(const troupe_trace_event* events, std::size_t count);

 private:
  LaneId lane_of(const troupe_trace_event& event);

  TraceSink& sink_;
  const std::string path_;
  std::mutex mutex_;  // guards the two tables
  std::unordered_map<std::uint64_t, TaskId> tasks_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, LaneId> lanes_;
};

}  // namespace troupe::actors

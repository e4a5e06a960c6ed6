#include "troupe/actors/trace_device.hpp"

namespace troupe::actors {
namespace {

std::int64_t time_of(std::uint64_t device) {
  return device == 0 ? unknown_time : static_cast<std::int64_t>(device);
}

SpanKind kind_of(std::uint32_t core_kind) {
  switch (core_kind) {
    case TROUPE_CORE_AIC:
      return SpanKind::aic;
    case TROUPE_CORE_AIV:
      return SpanKind::aiv;
    default:
      return SpanKind::program;
  }
}

/// The longest of the waits before the start, and the wait for peers after it.
WaitReason longest_wait(const TraceSpan& span) {
  std::int64_t longest = span.window_wait;
  WaitReason reason = longest > 0 ? WaitReason::window : WaitReason::none;
  const auto consider = [&](std::int64_t from, std::int64_t to, WaitReason candidate) {
    if (from == unknown_time || to == unknown_time || to - from <= longest) return;
    longest = to - from;
    reason = candidate;
  };
  consider(span.submitted, span.ready, WaitReason::data);
  consider(span.ready, span.start, WaitReason::core);
  return reason;
}

}  // namespace

DeviceTrace::DeviceTrace(TraceSink& sink, std::string path) : sink_(sink), path_(std::move(path)) {}

void DeviceTrace::launched(std::uint64_t correlation, TaskId task) {
  const std::lock_guard lock(mutex_);
  tasks_[correlation] = task;
}

void DeviceTrace::completed(std::uint64_t correlation) {
  const std::lock_guard lock(mutex_);
  tasks_.erase(correlation);
}

TaskId DeviceTrace::task_of(std::uint64_t correlation) {
  const std::lock_guard lock(mutex_);
  const auto known = tasks_.find(correlation);
  return known == tasks_.end() ? 0 : known->second;
}

LaneId DeviceTrace::lane_of(const troupe_trace_event& event) {
  const auto [it, fresh] = lanes_.try_emplace({event.core_kind, event.core});
  if (fresh) {
    std::string thread = "control";
    if (event.core != TROUPE_NO_CORE) thread = name_of(kind_of(event.core_kind)) + std::to_string(event.core);
    it->second = sink_.lane(path_, thread);
  }
  return it->second;
}

void DeviceTrace::events(const troupe_trace_event* events, std::size_t count) {
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < count; ++i) {
    const troupe_trace_event& event = events[i];
    const auto known = tasks_.find(event.correlation);
    TraceSpan span;
    const TaskId launched = known == tasks_.end() ? 0 : known->second;
    span.parent = host_task_of(launched);
    // Without a known parent the number would not be unique; the span is shown all the same.
    if (event.task != 0 && event.task < member_step && launched != 0) {
      span.task = chip_task(launched, static_cast<std::uint32_t>(event.task));
    }
    span.lane = lane_of(event);
    span.name = span.callable = sink_.text(event.name == nullptr ? "" : event.name);
    span.kind = kind_of(event.core_kind);
    span.outcome = event.code == 0 ? TaskOutcome::ok : TaskOutcome::failed;
    span.ring = static_cast<std::uint16_t>(event.ring);
    span.part = static_cast<std::uint16_t>(event.block);
    span.submitted = time_of(event.submitted_ns);
    span.ready = time_of(event.ready_ns);
    span.dispatched = time_of(event.dispatched_ns);
    span.start = time_of(event.begin_ns);
    span.end = time_of(event.end_ns);
    span.window_wait = static_cast<std::int64_t>(event.waited_ns);
    span.wait = longest_wait(span);
    sink_.record(span);
    for (std::uint32_t p = 0; span.task != 0 && event.producers != nullptr && p < event.producer_count; ++p) {
      sink_.record(TraceEdge{chip_task(launched, static_cast<std::uint32_t>(event.producers[p])), span.task,
                             EdgeKind::raw});
    }
  }
}

}  // namespace troupe::actors

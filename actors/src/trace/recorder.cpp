#include "trace/trace.hpp"

#include <utility>

#include "troupe/platform/errc.hpp"

namespace troupe::actors {
namespace {

const char* tag_name(runtime::Tag tag) {
  switch (tag) {
    case runtime::Tag::in:
      return "in";
    case runtime::Tag::out:
      return "out";
    case runtime::Tag::inout:
      return "inout";
    case runtime::Tag::out_existing:
      return "out_existing";
    case runtime::Tag::no_dep:
      return "no_dep";
  }
  return "?";
}

/// "in f32[128, 128], out f32[1]": the same for the same kind of call, so that there are few of them.
std::string tags_of(const Arguments& args) {
  std::string text;
  for (const auto& arg : args.tensors) {
    if (!text.empty()) text += ", ";
    text += std::string(tag_name(arg.tag)) + " " + std::string(runtime::name_of(arg.tensor.dtype())) + "[";
    for (std::size_t i = 0; i < arg.tensor.dims(); ++i) {
      text += (i == 0 ? "" : ", ") + std::to_string(arg.tensor.extent(i));
    }
    text += "]";
  }
  return text;
}

TraceSpan span_of(const TaskTrace& task, LaneId lane, SpanKind kind) {
  TraceSpan span;
  span.task = task.task;
  span.parent = task.parent;
  span.lane = lane;
  span.name = task.name;
  span.callable = task.callable;
  span.tags = task.tags;
  span.kind = kind;
  span.submitted = task.submitted;
  span.ready = task.ready;
  span.dispatched = task.dispatched;
  if (task.group) span.wait = WaitReason::gang;
  return span;
}

SpanKind kind_of(const TaskBody& body) {
  if (body.callable == nullptr) return SpanKind::chip;
  switch (body.callable->kind) {
    case CallableKind::chip:
      return SpanKind::chip;
    case CallableKind::function:
      return SpanKind::sub;
    case CallableKind::program:
      return SpanKind::program;
  }
  return SpanKind::chip;
}

}  // namespace

void Recorder::ran(LaneId lane, SpanKind kind, const TaskBody& body, const TaskKey& key, std::int64_t start,
                   std::int64_t end, const Error* error) const {
  if (!body.trace) return;
  TraceSpan span = span_of(*body.trace, lane, kind);
  span.part = static_cast<std::uint16_t>(key.member);
  span.attempt = static_cast<std::uint8_t>(key.attempt);
  span.start = start;
  span.end = end;
  span.finished = now();
  if (error != nullptr) {
    span.outcome = TaskOutcome::failed;
    span.error = sink_->text(error->message());
  }
  sink_->record(span);
}

void Recorder::lived(std::string_view path, std::string_view thread, const std::string& name,
                     std::int64_t begin) const {
  TraceSpan span;
  span.lane = sink_->lane(path, thread);
  span.name = span.callable = sink_->text(name);
  span.kind = SpanKind::domain;
  span.start = begin;
  span.end = now();
  sink_->record(span);
}

void Recorder::mark(std::string_view path, std::string_view what, const std::string& why) const {
  sink_->mark(sink_->lane(path, "tasks"), sink_->text(what), now(), sink_->text(why));
}

void Recorder::never_ran(LaneId lane, SpanKind kind, const TaskTrace& task, TaskOutcome outcome,
                         const Error* error) const {
  TraceSpan span = span_of(task, lane, kind);
  span.outcome = outcome;
  span.finished = now();
  if (error != nullptr) span.error = sink_->text(error->message());
  sink_->record(span);
}

RunTracer::RunTracer(std::shared_ptr<const Recorder> recorder, const std::string& path,
                     const std::string& program, TaskId above)
    : recorder_(std::move(recorder)),
      programs_(recorder_->sink().lane(path, "programs")),
      tasks_(recorder_->sink().lane(path, "tasks")),
      program_(recorder_->sink().text(program)),
      above_(above),
      run_(recorder_->sink().reserve_tasks()),
      began_(recorder_->now()) {}

void RunTracer::submitted(TaskNumber number, TaskBody& body, std::span<const Arguments* const> members) {
  TraceSink& sink = recorder_->sink();
  auto trace = std::make_shared<TaskTrace>();
  trace->task = sink.reserve_tasks();
  trace->parent = run_;
  trace->submitted = recorder_->now();
  trace->name = sink.text(body.name());
  trace->callable = body.callable != nullptr ? sink.text(body.callable->name) : trace->name;
  trace->group = members.size() > 1;
  if (!members.empty()) trace->tags = sink.text(tags_of(*members.front()));
  ids_.emplace(number, trace->task);

  edges_.clear();
  for (const Arguments* args : members) tracker_.submit(trace->task, args->tensors, edges_);
  if (body.extras) {
    std::vector<Operand> windows;
    for (const auto& domain : body.extras->domains) {
      if (domain.ordered && domain.window.valid()) windows.emplace_back(runtime::inout(domain.window));
    }
    tracker_.submit(trace->task, windows, edges_);
    for (const auto before : body.extras->after) {
      if (const auto known = ids_.find(before); known != ids_.end()) {
        edges_.push_back({known->second, trace->task, EdgeKind::after});
      }
    }
  }
  for (const TraceEdge& edge : edges_) sink.record(edge);
  body.trace = std::move(trace);
}

void RunTracer::dispatched(const TaskBody& body, bool all_producers_done) const {
  if (!body.trace) return;
  body.trace->dispatched = recorder_->now();
  // Queued behind its producers it is ready when the last of them has ended: whoever reads the trace looks.
  body.trace->ready = all_producers_done ? body.trace->dispatched : unknown_time;
}

void RunTracer::program_ran(const TaskBody& body, const TaskKey& key, const Error* error) const {
  if (body.trace)
    recorder_->ran(tasks_, SpanKind::program, body, key, body.trace->dispatched, recorder_->now(), error);
}

void RunTracer::never_ran(const TaskBody& body, bool poisoned, const Error& error) const {
  if (!body.trace) return;
  recorder_->never_ran(tasks_, kind_of(body), *body.trace,
                       poisoned ? TaskOutcome::poisoned : TaskOutcome::cancelled, &error);
}

void RunTracer::finished(const Error* error) const {
  TraceSpan span;
  span.task = run_;
  span.parent = above_;
  span.lane = programs_;
  span.name = span.callable = program_;
  span.kind = SpanKind::program;
  span.start = began_;
  span.end = recorder_->now();
  if (error != nullptr) {
    span.outcome = TaskOutcome::failed;
    span.error = recorder_->sink().text(error->message());
  }
  recorder_->sink().record(span);
}

void RunTracer::waits_for_room(bool waits) {
  if (waits == (waits_since_ != unknown_time)) return;
  const std::int64_t now = recorder_->now();
  if (waits) {
    waits_since_ = now;
    return;
  }
  TraceSpan span;  // of no length where the program went on; what it waited for is before that
  span.task = run_;
  span.parent = above_;
  span.lane = programs_;
  span.name = recorder_->sink().text("room");
  span.callable = program_;
  span.kind = SpanKind::program;
  span.wait = WaitReason::room;
  span.ready = std::exchange(waits_since_, unknown_time);
  span.start = span.end = now;
  recorder_->sink().record(span);
}

ChipTracer::ChipTracer(std::shared_ptr<const Recorder> recorder, std::string path)
    : recorder_(std::move(recorder)),
      path_(std::move(path)),
      lane_(recorder_->sink().lane(path_, "tasks")),
      device_(recorder_->sink(), path_) {}

void ChipTracer::launched(std::uint64_t correlation, const TaskBody& body, const TaskKey& key) {
  if (!body.trace) return;
  const TaskTrace& task = *body.trace;
  device_.launched(correlation, task.group ? member_task(task.task, key.member) : task.task);
}

void ChipTracer::ended(std::uint64_t correlation, const TaskBody& body, const TaskKey& key,
                       std::uint64_t started, std::uint64_t ended, const Error* error) {
  device_.completed(correlation);
  if (started == 0 || ended == 0) {
    // It never began. What it followed has failed, then its run tells; otherwise the device refused it.
    if (error != nullptr && !(*error == platform::Errc::poisoned)) refused(body, *error);
    return;
  }
  recorder_->ran(lane_, SpanKind::chip, body, key, static_cast<std::int64_t>(started),
                 static_cast<std::int64_t>(ended), error);
}

void ChipTracer::part_of(const TaskBody& whole, TaskBody& body, std::span<const TaskId> producers) const {
  if (!whole.trace) return;
  TraceSink& sink = recorder_->sink();
  auto trace = std::make_shared<TaskTrace>();
  trace->task = sink.reserve_tasks();
  trace->parent = whole.trace->task;
  trace->submitted = trace->dispatched = recorder_->now();
  trace->name = sink.text(body.name());
  trace->callable = sink.text(body.callable->name);
  trace->tags = sink.text(tags_of(body.args));
  for (const auto producer : producers) sink.record(TraceEdge{producer, trace->task, EdgeKind::raw});
  body.trace = std::move(trace);
}

void ChipTracer::refused(const TaskBody& body, const Error& error) {
  if (body.trace) recorder_->never_ran(lane_, SpanKind::chip, *body.trace, TaskOutcome::failed, &error);
}

void ChipTracer::ran(const TaskBody& body, const TaskKey& key, std::int64_t began, const Error* error) {
  recorder_->ran(lane_, SpanKind::chip, body, key, began, now(), error);
}

void ChipTracer::moved(Way way, std::uint64_t bytes, std::int64_t began, std::int64_t ended,
                       const Error* error) {
  auto& sink = recorder_->sink();
  if (!moves_) moves_ = sink.lane(path_, "moves");
  TraceSpan span;
  span.lane = *moves_;
  span.name = span.callable = sink.text(way == Way::to_chip   ? "to the chip"
                                        : way == Way::to_host ? "to host memory"
                                                              : "from another chip");
  span.kind = SpanKind::move;
  span.bytes = bytes;
  span.start = began;
  span.end = ended;
  if (error != nullptr) {
    span.outcome = TaskOutcome::failed;
    span.error = sink.text(error->message());
  }
  sink.record(span);
}

void ChipTracer::dump(const troupe_dump_record& record) {
  if (auto* dump = recorder_->dump()) dump->record(path_, device_.task_of(record.correlation), record);
}

}  // namespace troupe::actors

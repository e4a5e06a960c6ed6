#include "troupe/actors/trace_sink.hpp"

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "trace/chunked_log.hpp"

namespace troupe::actors {
namespace {

struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>{}(text); }
};

}  // namespace

struct TraceSink::Impl {
  explicit Impl(Options given) : options(given), spans(given.max_spans), edges(given.max_edges) {}

  std::int64_t relative(std::int64_t time) const noexcept {
    return time == unknown_time ? unknown_time : time - options.epoch;
  }

  Options options;
  ChunkedLog<TraceSpan> spans;
  ChunkedLog<TraceEdge> edges;
  std::atomic<std::uint64_t> dropped{0};
  std::atomic<TaskId> next_task{task_step};

  mutable std::shared_mutex names;  // guards everything below
  std::vector<TraceLane> lanes;
  std::map<std::pair<std::string, std::string>, LaneId> lane_ids;
  std::deque<std::string> texts = {""};
  std::unordered_map<std::string_view, TextId, TextHash, std::equal_to<>> text_ids = {{"", 0}};
  std::size_t text_bytes = 0;
  std::map<std::string, std::string> metadata;
};

TraceSink::TraceSink(Options options) : impl_(std::make_unique<Impl>(options)) {}
TraceSink::~TraceSink() = default;

LaneId TraceSink::lane(std::string_view process, std::string_view thread) {
  std::pair key{std::string(process), std::string(thread)};
  {
    const std::shared_lock lock(impl_->names);
    if (const auto it = impl_->lane_ids.find(key); it != impl_->lane_ids.end()) return it->second;
  }
  const std::unique_lock lock(impl_->names);
  const auto [it, fresh] =
      impl_->lane_ids.try_emplace(std::move(key), static_cast<LaneId>(impl_->lanes.size()));
  if (fresh) impl_->lanes.push_back({it->first.first, it->first.second});
  return it->second;
}

TextId TraceSink::text(std::string_view text) {
  {
    const std::shared_lock lock(impl_->names);
    if (const auto it = impl_->text_ids.find(text); it != impl_->text_ids.end()) return it->second;
  }
  const std::unique_lock lock(impl_->names);
  const bool full = impl_->text_bytes + text.size() > impl_->options.max_text_bytes;
  if (full) {
    impl_->dropped.fetch_add(1, std::memory_order_relaxed);
    text = "(dropped)";
  }
  if (const auto it = impl_->text_ids.find(text); it != impl_->text_ids.end()) return it->second;
  impl_->text_bytes += text.size();
  const auto id = static_cast<TextId>(impl_->texts.size());
  impl_->text_ids.emplace(impl_->texts.emplace_back(text), id);  // a deque never moves its elements
  return id;
}

TaskId TraceSink::reserve_tasks(std::uint32_t count) noexcept {
  return impl_->next_task.fetch_add(count * task_step, std::memory_order_relaxed);
}

void TraceSink::record(const TraceSpan& span) noexcept {
  TraceSpan own = span;
  for (auto time : {&TraceSpan::submitted, &TraceSpan::ready, &TraceSpan::dispatched, &TraceSpan::start,
                    &TraceSpan::end, &TraceSpan::finished}) {
    own.*time = impl_->relative(span.*time);
  }
  if (!impl_->spans.push(own)) impl_->dropped.fetch_add(1, std::memory_order_relaxed);
}

void TraceSink::record(const TraceEdge& edge) noexcept {
  if (!impl_->edges.push(edge)) impl_->dropped.fetch_add(1, std::memory_order_relaxed);
}

void TraceSink::mark(LaneId lane, TextId name, std::int64_t time, TextId what) noexcept {
  TraceSpan span;
  span.kind = SpanKind::mark;
  span.lane = lane;
  span.name = name;
  span.error = what;
  span.start = time;
  record(span);
}

void TraceSink::describe(std::string_view key, std::string_view value) {
  const std::unique_lock lock(impl_->names);
  impl_->metadata.insert_or_assign(std::string(key), std::string(value));
}

Trace TraceSink::snapshot() const {
  Trace trace;
  impl_->spans.for_each([&](const TraceSpan& span) { trace.spans.push_back(span); });
  impl_->edges.for_each([&](const TraceEdge& edge) { trace.edges.push_back(edge); });
  {
    // After the events: every lane and text that they name is there by now.
    const std::shared_lock lock(impl_->names);
    trace.lanes = impl_->lanes;
    trace.texts.assign(impl_->texts.begin(), impl_->texts.end());
    trace.metadata.assign(impl_->metadata.begin(), impl_->metadata.end());
  }
  trace.dropped = impl_->dropped.load(std::memory_order_relaxed);
  normalize(trace);
  return trace;
}

}  // namespace troupe::actors

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <ostream>
#include <span>
#include <system_error>
#include <unordered_map>

#include "cannot_write.hpp"
#include "troupe/actors/trace_sink.hpp"

namespace troupe::actors {
namespace {

/// Quoted and escaped; bytes that are no UTF-8 are replaced.
std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// Builds one event after the other in one buffer, which goes out whenever it is large.
class Writer {
 public:
  explicit Writer(std::ostream& out) : out_(out) {}

  Writer& raw(std::string_view text) {
    buffer_ += text;
    return *this;
  }
  Writer& number(std::uint64_t value) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    return raw({digits, static_cast<std::size_t>(end - digits)});
  }
  /// Nanoseconds as microseconds with three decimals, exactly.
  Writer& micros(std::int64_t nanos) {
    if (nanos < 0) raw("-");
    const auto size = static_cast<std::uint64_t>(nanos < 0 ? -nanos : nanos);
    number(size / 1000).raw(".");
    const auto rest = size % 1000;
    buffer_ += static_cast<char>('0' + rest / 100);
    buffer_ += static_cast<char>('0' + rest / 10 % 10);
    buffer_ += static_cast<char>('0' + rest % 10);
    return *this;
  }
  void begin_event() {
    raw(first_ ? "\n" : ",\n");
    first_ = false;
    if (buffer_.size() > 1u << 16) flush();
  }
  void flush() {
    out_.write(buffer_.data(), static_cast<std::streamsize>(buffer_.size()));
    buffer_.clear();
  }

 private:
  std::ostream& out_;
  std::string buffer_;
  bool first_ = true;
};

class TraceWriter {
 public:
  TraceWriter(const Trace& trace, std::ostream& out) : trace_(trace), writer_(out) {
    for (const auto& text : trace.texts) texts_.push_back(quoted(text));
  }

  void write() {
    header();
    lanes();
    for (const auto& span : trace_.spans) event(span);
    arrows();
    writer_.raw("\n]}\n").flush();
  }

 private:
  struct Place {
    std::size_t process = 0, thread = 0;
  };
  struct Ends {
    const TraceSpan* first = nullptr;  // to start
    const TraceSpan* last = nullptr;   // to end
  };

  void header() {
    writer_.raw(R"({"displayTimeUnit":"ns","troupe":{"version":)").number(trace_version);
    writer_.raw(",\"dropped\":").number(trace_.dropped).raw(",\"metadata\":{");
    for (std::size_t i = 0; i < trace_.metadata.size(); ++i) {
      const auto& [key, value] = trace_.metadata[i];
      writer_.raw(i == 0 ? "" : ",").raw(quoted(key)).raw(":").raw(quoted(value));
    }
    writer_.raw("}},\"traceEvents\":[");
  }

  void lanes() {
    std::vector<std::size_t> order(trace_.lanes.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) {
      const auto &x = trace_.lanes[a], &y = trace_.lanes[b];
      return x.process != y.process ? natural_less(x.process, y.process) : natural_less(x.thread, y.thread);
    });
    places_.resize(order.size());
    std::size_t process = 0, thread = 0;
    const std::string* previous = nullptr;
    for (const std::size_t lane : order) {
      const TraceLane& names = trace_.lanes[lane];
      if (previous == nullptr || *previous != names.process) {
        ++process;
        thread = 0;
        name_event("process", process, 0, names.process, process);
      }
      previous = &names.process;
      ++thread;
      name_event("thread", process, thread, names.thread, thread);
      places_[lane] = {process, thread};
    }
  }

  void name_event(std::string_view what, std::size_t pid, std::size_t tid, const std::string& name,
                  std::size_t order) {
    writer_.begin_event();
    writer_.raw(R"({"ph":"M","name":")").raw(what).raw("_name\",");
    place({pid, tid});
    writer_.raw(",\"args\":{\"name\":").raw(quoted(name)).raw("}}");
    writer_.begin_event();
    writer_.raw(R"({"ph":"M","name":")").raw(what).raw("_sort_index\",");
    place({pid, tid});
    writer_.raw(",\"args\":{\"sort_index\":").number(order).raw("}}");
  }

  Writer& place(Place at) {
    return writer_.raw("\"pid\":").number(at.process).raw(",\"tid\":").number(at.thread);
  }

  void event(const TraceSpan& span) {
    const bool first_of_task = span.task != 0 && ends_.find(span.task) == ends_.end();
    if (span.task != 0) {
      Ends& ends = ends_[span.task];
      if (span.ran() && ends.first == nullptr) ends.first = &span;  // spans come sorted by start
      if (span.ran() && (ends.last == nullptr || ends.last->end < span.end)) ends.last = &span;
    }
    writer_.begin_event();
    writer_.raw("{\"ph\":\"").raw(span.ran() ? "X" : "i").raw("\",\"name\":").raw(texts_[span.name]);
    writer_.raw(",\"cat\":\"").raw(name_of(span.kind)).raw("\",");
    place(places_[span.lane]).raw(",\"ts\":").micros(moment(span));
    if (span.ran()) {
      writer_.raw(",\"dur\":").micros(span.duration());
    } else {
      writer_.raw(",\"s\":\"t\"");
    }
    writer_.raw(",\"args\":{\"kind\":\"").raw(name_of(span.kind)).raw("\"");
    if (span.task != 0) {
      writer_.raw(",\"task\":\"").raw(task_label(span.task)).raw("\",\"outcome\":\"");
      writer_.raw(name_of(span.outcome)).raw("\"");
    }
    if (span.parent != 0) writer_.raw(",\"parent\":\"").raw(task_label(span.parent)).raw("\"");
    text("callable", span.callable).text("tags", span.tags).text("error", span.error);
    if (span.wait != WaitReason::none) writer_.raw(",\"wait\":\"").raw(name_of(span.wait)).raw("\"");
    time("submitted", span.submitted).time("ready", span.ready).time("dispatched", span.dispatched);
    time("finished", span.finished);
    if (span.window_wait != 0) time("window_wait", span.window_wait);
    if (span.bytes != 0) writer_.raw(",\"bytes\":").number(span.bytes);
    count("attempt", span.attempt).count("part", span.part).count("ring", span.ring);
    if (span.function >= 0) writer_.raw(",\"function\":").number(static_cast<unsigned>(span.function));
    if (first_of_task) after(span.task);
    writer_.raw("}}");
  }

  static std::int64_t moment(const TraceSpan& span) {
    for (const auto time : {span.start, span.finished, span.ready, span.submitted}) {
      if (time != unknown_time) return time;
    }
    return 0;
  }

  TraceWriter& text(std::string_view key, TextId id) {
    if (id != 0) writer_.raw(",\"").raw(key).raw("\":").raw(texts_[id]);
    return *this;
  }
  TraceWriter& time(std::string_view key, std::int64_t value) {
    if (value != unknown_time) writer_.raw(",\"").raw(key).raw("\":").micros(value);
    return *this;
  }
  TraceWriter& count(std::string_view key, unsigned value) {
    if (value != 0) writer_.raw(",\"").raw(key).raw("\":").number(value);
    return *this;
  }

  std::span<const TraceEdge> edges_into(TaskId task) const {
    const auto first = std::ranges::lower_bound(trace_.edges, task, {}, &TraceEdge::to);
    return {first, std::ranges::upper_bound(first, trace_.edges.end(), task, {}, &TraceEdge::to)};
  }

  void after(TaskId task) {
    const auto edges = edges_into(task);
    if (edges.empty()) return;
    writer_.raw(",\"after\":[");
    for (auto edge = edges.begin(); edge != edges.end(); ++edge) {
      writer_.raw(edge == edges.begin() ? "" : ",").raw("[\"").raw(task_label(edge->from)).raw("\",\"");
      writer_.raw(name_of(edge->kind)).raw("\"]");
    }
    writer_.raw("]");
  }

  void arrows() {
    std::uint64_t id = 0;
    for (const auto& edge : trace_.edges) {
      const auto from = ends_.find(edge.from), to = ends_.find(edge.to);
      if (from == ends_.end() || to == ends_.end()) continue;
      if (from->second.last == nullptr || to->second.first == nullptr) continue;
      const TraceSpan &producer = *from->second.last, &consumer = *to->second.first;
      ++id;
      // An arrow belongs to the slice that contains its time, so it leaves just before the slice ends.
      writer_.begin_event();
      writer_.raw(R"({"ph":"s","cat":"dependency","name":")").raw(name_of(edge.kind)).raw("\",\"id\":");
      writer_.number(id).raw(",");
      place(places_[producer.lane])
          .raw(",\"ts\":")
          .micros(std::max(producer.start, producer.end - 1))
          .raw("}");
      writer_.begin_event();
      writer_.raw(R"({"ph":"f","bp":"e","cat":"dependency","name":")").raw(name_of(edge.kind));
      writer_.raw("\",\"id\":").number(id).raw(",");
      place(places_[consumer.lane]).raw(",\"ts\":").micros(consumer.start).raw("}");
    }
  }

  const Trace& trace_;
  Writer writer_;
  std::vector<std::string> texts_;
  std::vector<Place> places_;
  std::unordered_map<TaskId, Ends> ends_;
};

}  // namespace

void write_chrome_trace(const Trace& trace, std::ostream& out) { TraceWriter(trace, out).write(); }

Result<void> write_chrome_trace(const Trace& trace, const std::string& path) {
  // Only a file is replaced: a device, a pipe or a link is written into, as the name's owner wants it.
  std::error_code problem;
  const auto kind = std::filesystem::symlink_status(path, problem).type();
  const bool replace =
      kind == std::filesystem::file_type::regular || kind == std::filesystem::file_type::not_found;
  const std::string partial = replace ? path + ".part" + std::to_string(::getpid()) : path;
  const auto what = "the trace to \"" + path + "\"";
  {
    errno = 0;
    std::ofstream out(partial, std::ios::binary);
    if (out) write_chrome_trace(trace, out);
    out.close();
    if (!out) {
      Error error = cannot_write(what, errno);
      if (replace) (void)std::remove(partial.c_str());
      return error;
    }
  }
  if (replace && std::rename(partial.c_str(), path.c_str()) != 0) {
    Error error = cannot_write(what, errno);
    (void)std::remove(partial.c_str());
    return error;
  }
  return {};
}

}  // namespace troupe::actors

#include "trace/read.hpp"

#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <system_error>
#include <unordered_map>

#include "errc.hpp"
#include "trace/analysis.hpp"

namespace troupe::apps {
namespace {

using actors::Trace;
using actors::TraceSpan;
using nlohmann::json;

/// Thrown and caught within this file: what is wrong with the event at hand.
struct BadEvent : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// The value of a key; null where there is none. Not a copy: copying a value calls itself for each level of
/// it, and a damaged file may have any number of them.
const json& at(const json& object, const char* key) {
  static const json nothing;
  const auto found = object.find(key);  // of what is no object, too: nothing
  return found == object.end() ? nothing : *found;
}

/// As it stands in the file; of lists and objects, which may be of any depth, only what they are.
std::string shown(const json& value) {
  return value.is_structured() ? std::string("(") + value.type_name() + ")" : value.dump();
}

/// Microseconds to nanoseconds; refuses what no clock says.
std::int64_t nanos(const json& value) {
  if (!value.is_number()) throw BadEvent("a time is not a number");
  const double micros = value.get<double>();
  if (!(std::abs(micros) < 9e12)) throw BadEvent("a time is out of range");
  return std::llround(micros * 1000.0);
}

actors::TaskId task_from(const json& value) {
  if (!value.is_string()) throw BadEvent("a task number is not a text like \"17.3\"");
  const auto& text = value.get_ref<const std::string&>();
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto number = [&](std::uint64_t limit) {
    std::uint64_t parsed = 0;
    const auto rest = std::from_chars(at, end, parsed);
    at = rest.ptr;
    if (rest.ec != std::errc() || parsed >= limit) {
      throw BadEvent("\"" + text + "\" is no task number like \"17.3\"");
    }
    return parsed;
  };
  const auto follows = [&](char mark) { return at != end && *at == mark && ++at != nullptr; };
  actors::TaskId task = number(std::uint64_t{1} << 32) * actors::task_step;
  if (follows(':')) {
    task = actors::member_task(task, static_cast<std::uint32_t>(number(actors::most_members)));
  }
  if (follows('.')) task = actors::chip_task(task, static_cast<std::uint32_t>(number(actors::member_step)));
  if (at != end) throw BadEvent("\"" + text + "\" is no task number like \"17.3\"");
  return task;
}

template <class Enum>
Enum named(const json& value, Enum last) {
  if (value.is_string()) {
    for (int i = 0; i <= static_cast<int>(last); ++i) {
      if (value.get_ref<const std::string&>() == name_of(static_cast<Enum>(i))) return static_cast<Enum>(i);
    }
  }
  throw BadEvent("unknown value " + shown(value));
}

class Reader {
 public:
  /// Called for every object as it ends; events are taken and dropped, so that a large file needs little.
  bool on_event(int depth, json::parse_event_t what, json& value) {
    if (depth == 1 && what == json::parse_event_t::key) in_events_ = value == "traceEvents";
    if (!in_events_ || depth != 2) return true;
    if (what == json::parse_event_t::value) throw BadEvent("an event is not an object");
    if (what == json::parse_event_t::array_end) throw BadEvent("an event is not an object");
    if (what != json::parse_event_t::object_end) return true;
    ++count_;
    event(value);
    return false;
  }

  std::size_t count() const noexcept { return count_; }

  Trace finish(const json& document) {
    if (!document.is_object() || !document.contains("troupe")) {
      throw BadEvent("there is no \"troupe\" section: not written by troupe run --trace");
    }
    const json& own = document.at("troupe");
    const json& version = at(own, "version");
    if (!version.is_number_integer()) throw BadEvent("the \"troupe\" section has no version");
    if (version.get<std::int64_t>() != actors::trace_version) {
      throw BadEvent("version " + version.dump() + " of the trace format; this command knows version " +
                     std::to_string(actors::trace_version));
    }
    if (own.contains("dropped") && own["dropped"].is_number_unsigned()) trace_.dropped = own["dropped"];
    if (own.contains("metadata") && own["metadata"].is_object()) {
      for (const auto& [key, value] : own["metadata"].items()) {
        trace_.metadata.emplace_back(key, value.is_string() ? value.get<std::string>() : shown(value));
      }
    }
    for (const auto& [place, lane] : lanes_) {
      const auto process = processes_.find(place.first);
      if (process != processes_.end()) trace_.lanes[lane].process = process->second;
    }
    actors::normalize(trace_);
    infer_ready(trace_);
    return std::move(trace_);
  }

 private:
  using Place = std::pair<std::int64_t, std::int64_t>;

  void event(const json& value) {
    const std::string phase = value.contains("ph") && value["ph"].is_string() ? value["ph"] : "";
    if (phase == "M") return metadata(value);
    if (phase == "X" || phase == "i") return span(value, phase == "X");
    if (phase == "s" || phase == "f") return;  // drawn for viewers; args.after has the same edges
    throw BadEvent("its phase is " + (phase.empty() ? "missing" : "\"" + phase + "\""));
  }

  static std::int64_t integer(const json& value, const char* key) {
    if (!value.contains(key) || !value[key].is_number_integer()) {
      throw BadEvent(std::string("its ") + key + " is not a number");
    }
    return value[key];
  }

  void metadata(const json& value) {
    const std::int64_t process = integer(value, "pid"), thread = integer(value, "tid");
    const std::string what = value.value("name", "");
    if (what != "process_name" && what != "thread_name") return;
    const json& args = value.contains("args") ? value["args"] : value;
    if (!args.is_object() || !args.contains("name") || !args["name"].is_string()) {
      throw BadEvent(what + " has no name");
    }
    if (what == "process_name") {
      processes_[process] = args["name"];
    } else {
      trace_.lanes[lane({process, thread})].thread = args["name"];
    }
  }

  actors::LaneId lane(Place place) {
    const auto [it, fresh] = lanes_.try_emplace(place, static_cast<actors::LaneId>(trace_.lanes.size()));
    if (fresh) trace_.lanes.push_back({std::to_string(place.first), std::to_string(place.second)});
    return it->second;
  }

  actors::TextId text(const json& args, const char* key) {
    if (!args.contains(key)) return 0;
    if (!args[key].is_string()) throw BadEvent(std::string("its ") + key + " is not a text");
    const auto& wanted = args[key].get_ref<const std::string&>();
    const auto [it, fresh] = texts_.try_emplace(wanted, static_cast<actors::TextId>(trace_.texts.size()));
    if (fresh) trace_.texts.push_back(wanted);
    return it->second;
  }

  template <class Number>
  static Number small(const json& args, const char* key, Number otherwise) {
    if (!args.contains(key)) return otherwise;
    const std::int64_t value = integer(args, key);
    if (value < 0 || value > std::int64_t{std::numeric_limits<Number>::max()}) {
      throw BadEvent(std::string("its ") + key + " is out of range");
    }
    return static_cast<Number>(value);
  }

  void span(const json& value, bool ran) {
    static const json nothing = json::object();
    const json& args = value.contains("args") ? value["args"] : nothing;
    if (!args.is_object()) throw BadEvent("its args are not an object");
    TraceSpan span;
    span.lane = lane({integer(value, "pid"), integer(value, "tid")});
    span.name = text(value, "name");
    span.callable = text(args, "callable");
    span.tags = text(args, "tags");
    span.error = text(args, "error");
    span.kind = named(at(value, "cat"), actors::SpanKind::mark);
    if (args.contains("wait")) span.wait = named(args["wait"], actors::WaitReason::room);
    if (args.contains("outcome")) span.outcome = named(args["outcome"], actors::TaskOutcome::cancelled);
    if (args.contains("task")) span.task = task_from(args["task"]);
    if (args.contains("parent")) span.parent = task_from(args["parent"]);
    span.attempt = small<std::uint8_t>(args, "attempt", 0);
    span.part = small<std::uint16_t>(args, "part", 0);
    span.ring = small<std::uint16_t>(args, "ring", 0);
    span.function = small<std::int32_t>(args, "function", -1);
    span.bytes = static_cast<std::uint64_t>(small<std::int64_t>(args, "bytes", 0));
    const auto time = [&](const char* key) {
      return args.contains(key) ? nanos(args[key]) : actors::unknown_time;
    };
    span.submitted = time("submitted");
    span.ready = time("ready");
    span.dispatched = time("dispatched");
    span.finished = time("finished");
    if (args.contains("window_wait")) span.window_wait = nanos(args["window_wait"]);
    const std::int64_t start = nanos(at(value, "ts"));
    if (ran) {
      const std::int64_t duration = nanos(at(value, "dur"));
      if (duration < 0) throw BadEvent("its duration is negative");
      span.start = start;
      span.end = start + duration;
    } else if (span.kind == actors::SpanKind::mark) {
      span.start = start;
    }
    if (args.contains("after")) edges(span.task, args["after"]);
    trace_.spans.push_back(span);
  }

  void edges(actors::TaskId task, const json& after) {
    if (!after.is_array()) throw BadEvent("its args.after is not a list");
    for (const json& edge : after) {
      if (!edge.is_array() || edge.size() != 2) throw BadEvent("an edge is not [task, kind]");
      trace_.edges.push_back({task_from(edge[0]), task, named(edge[1], actors::EdgeKind::after)});
    }
  }

  Trace trace_;
  std::map<Place, actors::LaneId> lanes_;
  std::map<std::int64_t, std::string> processes_;
  std::unordered_map<std::string, actors::TextId> texts_ = {{"", 0}};
  std::size_t count_ = 0;
  bool in_events_ = false;
};

}  // namespace

Result<Trace> read_trace(std::istream& in, const std::string& name) {
  Reader reader;
  const auto bad = [&](const std::string& what) {
    const std::string where = reader.count() == 0 ? "" : ", event " + std::to_string(reader.count());
    return Error(Errc::bad_file, "\"" + name + "\" is not a trace" + where + ": " + what,
                 "traces are written by: troupe run PROGRAM --trace FILE");
  };
  try {
    const json document = json::parse(in, [&](int depth, json::parse_event_t what, json& value) {
      return reader.on_event(depth, what, value);
    });
    return reader.finish(document);
  } catch (const BadEvent& problem) {
    return bad(problem.what());
  } catch (const json::exception& problem) {
    const std::string_view said = problem.what();  // "[json.exception.parse_error.101] parse error at …"
    return bad(std::string(said.substr(said.starts_with('[') ? said.find("] ") + 2 : 0)));
  }
}

Result<Trace> read_trace_file(const std::string& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  // A folder opens like a file and fails at the first read.
  if (!in || in.peek() == std::ifstream::traits_type::eof()) {
    return Error(Errc::cannot_read,
                 "cannot read \"" + path +
                     "\": " + (errno != 0 ? std::generic_category().message(errno) : "it is empty"),
                 "traces are written by: troupe run PROGRAM --trace FILE");
  }
  return read_trace(in, path);
}

}  // namespace troupe::apps

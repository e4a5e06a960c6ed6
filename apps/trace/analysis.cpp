#include "trace/analysis.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <unordered_set>

namespace troupe::apps {
namespace {

using actors::TaskId;
using actors::Trace;
using actors::TraceSpan;
using actors::unknown_time;
using actors::WaitReason;

struct NaturalLess {
  bool operator()(const std::string& a, const std::string& b) const { return actors::natural_less(a, b); }
};

bool is_work(const TraceSpan& span) {
  return span.kind != actors::SpanKind::mark && span.kind != actors::SpanKind::domain &&
         span.kind != actors::SpanKind::move;
}

void measure_length(const Trace& trace, Analysis& analysis) {
  std::int64_t first = INT64_MAX, last = INT64_MIN;
  for (const auto& span : trace.spans) {
    for (const auto time : {span.submitted, span.ready, span.start, span.end, span.finished}) {
      if (time == unknown_time) continue;
      first = std::min(first, time);
      last = std::max(last, time);
    }
  }
  analysis.length = first <= last ? last - first : 0;
}

void measure_lanes(const Trace& trace, Analysis& analysis) {
  struct Busy {
    std::size_t spans = 0;
    std::int64_t busy = 0, until = INT64_MIN;
    bool cores = false;
  };
  std::vector<Busy> busy(trace.lanes.size());
  std::set<std::string_view> with_cores;
  for (const auto& span : trace.spans) {  // sorted by start
    if (!span.ran() || !is_work(span)) continue;
    Busy& lane = busy[span.lane];
    ++lane.spans;
    if (span.kind == actors::SpanKind::aic || span.kind == actors::SpanKind::aiv) {
      lane.cores = true;
      with_cores.insert(trace.lanes[span.lane].process);
    }
    lane.busy += std::max<std::int64_t>(0, span.end - std::max(span.start, lane.until));
    lane.until = std::max(lane.until, span.end);
  }
  const auto length = static_cast<double>(std::max<std::int64_t>(1, analysis.length));
  std::map<std::string, Utilisation, NaturalLess> processes;
  for (std::size_t i = 0; i < busy.size(); ++i) {
    if (busy[i].spans == 0) continue;
    const auto& names = trace.lanes[i];
    Utilisation own{names.process, names.thread, busy[i].spans, 1, busy[i].busy, 0};
    own.share = static_cast<double>(own.busy) / length;
    analysis.lanes.push_back(own);
    if (!busy[i].cores && with_cores.contains(names.process)) continue;
    Utilisation& all =
        processes.try_emplace(names.process, Utilisation{names.process, "", 0, 0, 0, 0}).first->second;
    all.spans += own.spans;
    all.lanes += 1;
    all.busy += own.busy;
  }
  std::ranges::sort(analysis.lanes, [](const Utilisation& a, const Utilisation& b) {
    return a.process != b.process ? actors::natural_less(a.process, b.process)
                                  : actors::natural_less(a.thread, b.thread);
  });
  for (auto& [name, all] : processes) {
    all.share = static_cast<double>(all.busy) / length / static_cast<double>(all.lanes);
    analysis.processes.push_back(all);
  }
}

/// Programs that contain other tasks: their length says nothing that those do not say better.
std::unordered_set<TaskId> containers(const Trace& trace) {
  std::unordered_set<TaskId> parents;
  for (const auto& span : trace.spans) {
    if (span.parent != 0) parents.insert(span.parent);
  }
  std::unordered_set<TaskId> programs;
  for (const auto& span : trace.spans) {
    if (span.kind == actors::SpanKind::program && parents.contains(span.task)) programs.insert(span.task);
  }
  return programs;
}

/// Tasks are what programs submitted, one each however many members, attempts and kernels it had. A run of a
/// program is none: only where a level above submitted it, it was a task there.
void count_tasks(const Trace& trace, Analysis& analysis) {
  std::unordered_set<TaskId> runs;
  // What a task tells of itself decides, not its kernels; of that the last attempt, and in it the worst part.
  std::unordered_map<TaskId, std::tuple<bool, std::uint8_t, actors::TaskOutcome>> outcomes;
  for (const auto& span : trace.spans) {
    if (span.task == 0 || !is_work(span)) continue;
    if (span.kind == actors::SpanKind::program && span.submitted == unknown_time) {
      runs.insert(span.task);
      continue;
    }
    const TaskId task = actors::host_task_of(span.task);
    const std::tuple now{span.task == task, span.attempt, span.outcome};
    auto& latest = outcomes.try_emplace(task, now).first->second;
    latest = std::max(latest, now);
  }
  for (const auto& [task, latest] : outcomes) {
    if (runs.contains(task)) continue;
    ++analysis.tasks;
    const auto outcome = std::get<actors::TaskOutcome>(latest);
    analysis.failed += outcome == actors::TaskOutcome::failed;
    analysis.poisoned += outcome == actors::TaskOutcome::poisoned;
    analysis.cancelled += outcome == actors::TaskOutcome::cancelled;
  }
}

void measure_tasks(const Trace& trace, std::size_t longest, Analysis& analysis) {
  const auto programs = containers(trace);
  std::map<std::pair<std::string, actors::SpanKind>, CallableTimes> callables;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < trace.spans.size(); ++i) {
    const auto& span = trace.spans[i];
    if (!is_work(span) || !span.ran() || programs.contains(span.task)) continue;
    order.push_back(i);
    CallableTimes& times = callables[{trace.text(span.callable != 0 ? span.callable : span.name), span.kind}];
    times.least = times.count == 0 ? span.duration() : std::min(times.least, span.duration());
    times.most = std::max(times.most, span.duration());
    times.total += span.duration();
    ++times.count;
  }
  for (auto& [key, times] : callables) {
    std::tie(times.name, times.kind) = key;
    analysis.callables.push_back(times);
  }
  std::ranges::stable_sort(analysis.callables, std::greater{}, &CallableTimes::total);
  const std::size_t shown = std::min(longest, order.size());
  std::ranges::partial_sort(order, order.begin() + static_cast<std::ptrdiff_t>(shown), std::greater{},
                            [&](std::size_t i) { return trace.spans[i].duration(); });
  analysis.longest.assign(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(shown));
}

void measure_moves(const Trace& trace, Analysis& analysis) {
  std::map<std::string, std::map<std::string, MovedBytes>, NaturalLess> moves;
  for (const auto& span : trace.spans) {
    if (span.kind != actors::SpanKind::move) continue;
    auto& sum = moves[trace.lanes[span.lane].process][trace.text(span.name)];
    ++sum.count;
    sum.bytes += span.bytes;
    sum.total += span.duration();
  }
  for (auto& [chip, ways] : moves) {
    for (auto& [way, sum] : ways) {
      sum.chip = chip;
      sum.way = way;
      analysis.moves.push_back(std::move(sum));
    }
  }
}

void measure_waits(const Trace& trace, Analysis& analysis) {
  std::map<WaitReason, WaitTimes> waits;
  const auto lost = [&](const TraceSpan& span, WaitReason reason, std::int64_t time) {
    if (time <= 0) return;
    WaitTimes& sum = waits[reason];
    sum.reason = reason;
    ++sum.spans;
    sum.total += time;
    if (time > sum.most) {
      sum.most = time;
      sum.worst = span.task;
    }
  };
  for (const auto& span : trace.spans) {
    if (span.task == 0 || !span.ran()) continue;
    lost(span, WaitReason::window, span.window_wait);
    if (span.part != 0) continue;  // parts of one task wait for data and cores together
    if (span.submitted != unknown_time && span.ready != unknown_time) {
      lost(span, WaitReason::data, span.ready - span.submitted);
    }
    if (span.ready != unknown_time) {
      // From ready to the core it was one reason; the recorder knows when it was not the ordinary one.
      const bool special = span.wait == WaitReason::gang || span.wait == WaitReason::room;
      lost(span, special ? span.wait : WaitReason::core, span.start - span.ready);
    }
  }
  for (const auto& [reason, sum] : waits) analysis.waits.push_back(sum);
  std::ranges::stable_sort(analysis.waits, std::greater{}, &WaitTimes::total);
}

/// The order of what ran, as a graph of steps. An ordinary task is one step, as long as it took; a program is
/// two of no length, its begin and its end, with what it submitted between them. So a chain leads from a pod
/// through its nodes to their chips.
class Steps {
 public:
  struct Step {
    std::size_t span = 0;  ///< of a task its longest part
    std::int64_t length = 0, longest = 0;
    std::size_t before = none, unseen = 0;
    bool task = false;
    std::vector<std::size_t> after;
  };
  static constexpr std::size_t none = SIZE_MAX;

  explicit Steps(const Trace& trace) {
    const auto programs = containers(trace);
    for (std::size_t i = 0; i < trace.spans.size(); ++i) {
      const auto& span = trace.spans[i];
      if (span.task == 0 || !span.ran() || !is_work(span)) continue;
      const auto [it, fresh] = ends_.try_emplace(span.task, steps_.size(), steps_.size());
      if (fresh) steps_.emplace_back();
      if (programs.contains(span.task)) {
        if (!fresh) continue;
        it->second.second = steps_.size();
        steps_.emplace_back();
        link(it->second.first, it->second.second);
      } else if (fresh || steps_[it->second.first].length < span.duration()) {
        Step& step = steps_[it->second.first];
        step.span = i;
        step.length = span.duration();
        step.task = true;
      }
    }
    std::unordered_set<TaskId> placed;
    for (const auto& span : trace.spans) {
      const auto own = ends_.find(span.task), above = ends_.find(span.parent);
      if (own == ends_.end() || above == ends_.end() || !programs.contains(span.parent)) continue;
      if (!placed.insert(span.task).second) continue;
      link(above->second.first, own->second.first);
      link(own->second.second, above->second.second);
    }
    for (const auto& edge : trace.edges) {
      const auto from = ends_.find(edge.from), to = ends_.find(edge.to);
      if (from != ends_.end() && to != ends_.end()) link(from->second.second, to->second.first);
    }
  }

  /// Adds up in topological order; the last step of the longest chain, `none` when there is no order.
  std::size_t walk() {
    std::vector<std::size_t> ready;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      if (steps_[i].unseen == 0) ready.push_back(i);
    }
    std::size_t seen = 0, last = none;
    while (!ready.empty()) {
      const std::size_t number = ready.back();
      ready.pop_back();
      ++seen;
      Step& step = steps_[number];
      step.longest += step.length;
      // A program's end is as late as its last task: the chain ends with that.
      if (step.task && (last == none || step.longest > steps_[last].longest ||
                        (step.longest == steps_[last].longest && number < last))) {
        last = number;
      }
      for (const std::size_t next : step.after) {
        Step& successor = steps_[next];
        if (successor.before == none || step.longest > successor.longest) {
          successor.longest = step.longest;
          successor.before = number;
        }
        if (--successor.unseen == 0) ready.push_back(next);
      }
    }
    cyclic_ = seen != steps_.size();
    return cyclic_ ? none : last;
  }
  bool cyclic() const { return cyclic_; }
  const Step& operator[](std::size_t number) const { return steps_[number]; }

 private:
  void link(std::size_t from, std::size_t to) {
    steps_[from].after.push_back(to);
    ++steps_[to].unseen;
  }

  std::vector<Step> steps_;
  std::unordered_map<TaskId, std::pair<std::size_t, std::size_t>> ends_;  // first and last step of a task
  bool cyclic_ = false;
};

/// The chain of dependent tasks whose durations add up to most.
void find_critical_path(const Trace& trace, Analysis& analysis) {
  Steps steps(trace);
  const std::size_t last = steps.walk();
  analysis.cyclic = steps.cyclic();
  if (last == Steps::none) return;
  analysis.critical_length = steps[last].longest;
  for (std::size_t number = last; number != Steps::none; number = steps[number].before) {
    if (steps[number].task) analysis.critical.push_back(steps[number].span);
  }
  std::ranges::reverse(analysis.critical);
}

}  // namespace

void infer_ready(Trace& trace) {
  std::unordered_map<TaskId, std::int64_t> ends;
  for (const auto& span : trace.spans) {
    if (span.task == 0 || !span.ran()) continue;
    auto& end = ends.try_emplace(span.task, span.end).first->second;
    end = std::max(end, span.end);
  }
  std::unordered_map<TaskId, std::int64_t> released;
  for (const auto& edge : trace.edges) {
    const auto end = ends.find(edge.from);
    if (end == ends.end()) continue;
    auto& last = released.try_emplace(edge.to, end->second).first->second;
    last = std::max(last, end->second);
  }
  for (auto& span : trace.spans) {
    if (span.task == 0 || !span.ran() || span.ready != unknown_time || span.submitted == unknown_time)
      continue;
    const auto last = released.find(span.task);
    span.ready = last == released.end() ? span.submitted : std::max(span.submitted, last->second);
    span.ready = std::min(span.ready, span.start);
  }
}

Analysis analyze(const Trace& trace, std::size_t longest) {
  Analysis analysis;
  measure_length(trace, analysis);
  measure_lanes(trace, analysis);
  count_tasks(trace, analysis);
  measure_tasks(trace, longest, analysis);
  measure_moves(trace, analysis);
  measure_waits(trace, analysis);
  find_critical_path(trace, analysis);
  return analysis;
}

}  // namespace troupe::apps

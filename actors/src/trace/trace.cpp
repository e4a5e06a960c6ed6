#include "troupe/actors/trace.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <tuple>

namespace troupe::actors {

const char* name_of(SpanKind kind) noexcept {
  switch (kind) {
    case SpanKind::aic:
      return "aic";
    case SpanKind::aiv:
      return "aiv";
    case SpanKind::chip:
      return "chip";
    case SpanKind::sub:
      return "sub";
    case SpanKind::program:
      return "program";
    case SpanKind::domain:
      return "domain";
    case SpanKind::move:
      return "move";
    case SpanKind::mark:
      return "mark";
  }
  return "unknown";
}

const char* name_of(WaitReason reason) noexcept {
  switch (reason) {
    case WaitReason::none:
      return "none";
    case WaitReason::data:
      return "data";
    case WaitReason::core:
      return "core";
    case WaitReason::gang:
      return "gang";
    case WaitReason::window:
      return "window";
    case WaitReason::room:
      return "room";
  }
  return "unknown";
}

const char* name_of(TaskOutcome outcome) noexcept {
  switch (outcome) {
    case TaskOutcome::ok:
      return "ok";
    case TaskOutcome::failed:
      return "failed";
    case TaskOutcome::poisoned:
      return "poisoned";
    case TaskOutcome::cancelled:
      return "cancelled";
  }
  return "unknown";
}

const char* name_of(EdgeKind kind) noexcept {
  switch (kind) {
    case EdgeKind::raw:
      return "raw";
    case EdgeKind::waw:
      return "waw";
    case EdgeKind::war:
      return "war";
    case EdgeKind::after:
      return "after";
  }
  return "unknown";
}

std::string task_label(TaskId task) {
  std::string label = std::to_string(task / task_step);
  const TaskId member = task % task_step / member_step, kernel = task % member_step;
  if (member != 0) label += ":" + std::to_string(member - 1);
  if (kernel != 0) label += "." + std::to_string(kernel);
  return label;
}

bool natural_less(std::string_view a, std::string_view b) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  std::size_t i = 0, j = 0;
  while (i < a.size() && j < b.size()) {
    if (!digit(a[i]) || !digit(b[j])) {
      if (a[i] != b[j]) return a[i] < b[j];
      ++i, ++j;
      continue;
    }
    // Compare digit runs as numbers of any length: without leading zeros, longer is larger.
    const auto run = [&](std::string_view text, std::size_t& at) {
      while (at + 1 < text.size() && text[at] == '0' && digit(text[at + 1])) ++at;
      const std::size_t begin = at;
      while (at < text.size() && digit(text[at])) ++at;
      return text.substr(begin, at - begin);
    };
    const auto x = run(a, i), y = run(b, j);
    if (x.size() != y.size()) return x.size() < y.size();
    if (x != y) return x < y;
  }
  return a.size() - i < b.size() - j;
}

void normalize(Trace& trace) {
  const auto when = [](const TraceSpan& span) {
    return span.start == unknown_time ? std::numeric_limits<std::int64_t>::max() : span.start;
  };
  std::ranges::stable_sort(trace.spans, {}, [&](const TraceSpan& span) {
    return std::tuple(when(span), span.task, span.part, span.attempt);
  });
  const auto key = [](const TraceEdge& edge) { return std::tuple(edge.to, edge.from, edge.kind); };
  std::ranges::sort(trace.edges, {}, key);
  const auto same = [](const TraceEdge& a, const TraceEdge& b) { return a.to == b.to && a.from == b.from; };
  trace.edges.erase(std::unique(trace.edges.begin(), trace.edges.end(), same), trace.edges.end());
}

}  // namespace troupe::actors

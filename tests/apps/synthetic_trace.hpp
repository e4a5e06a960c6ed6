#pragma once

#include "troupe/actors/trace_sink.hpp"

namespace troupe::test {

/// A run whose every figure is known. Times in µs; one chip, two vector cores, one cube core, a host lane:
///
///   load    aiv0  0–10
///   matmul  aic0 10–40   after load (raw), ready at 10
///   scale   aiv0 10–15   after load (raw), ready at 10
///   add     aiv1 45–60   after matmul and scale; ready at 40, no core until 45; 4 in a wait for a peer
///   check   host         failed; verify2 is poisoned by it and never ran
///   4096 bytes to the chip 41–43, 1024 to host memory 61–62
inline actors::Trace synthetic_trace() {
  using namespace actors;
  TraceSink sink({.epoch = 1'000'000});
  const auto us = [](int t) { return 1'000'000 + std::int64_t{t} * 1000; };
  const LaneId aiv0 = sink.lane("node0/chip2", "aiv0"), aiv1 = sink.lane("node0/chip2", "aiv1");
  const LaneId aic0 = sink.lane("node0/chip2", "aic0"), host = sink.lane("node0", "subs");
  const TaskId program = sink.reserve_tasks(), check = sink.reserve_tasks(), again = sink.reserve_tasks();
  const auto kernel = [&](std::uint32_t number, const char* name, LaneId lane, SpanKind kind, int start,
                          int end, int submitted, int ready) {
    TraceSpan span;
    span.task = chip_task(program, number);
    span.parent = program;
    span.lane = lane;
    span.name = span.callable = sink.text(name);
    span.tags = sink.text("in, out");
    span.kind = kind;
    span.submitted = us(submitted);
    span.ready = us(ready);
    span.dispatched = us(ready);
    span.start = us(start);
    span.end = us(end);
    return span;
  };
  // Recorded out of order, as cores do.
  TraceSpan add = kernel(4, "add", aiv1, SpanKind::aiv, 45, 60, 0, 40);
  add.window_wait = 4000;
  add.wait = WaitReason::data;
  sink.record(add);
  sink.record(kernel(1, "load", aiv0, SpanKind::aiv, 0, 10, 0, 0));
  sink.record(kernel(2, "matmul", aic0, SpanKind::aic, 10, 40, 0, 10));
  sink.record(kernel(3, "scale", aiv0, SpanKind::aiv, 10, 15, 0, 10));
  for (const auto& [from, to] : {std::pair{1u, 2u}, {1u, 3u}, {2u, 4u}, {3u, 4u}, {3u, 4u}}) {
    sink.record(TraceEdge{chip_task(program, from), chip_task(program, to), EdgeKind::raw});
  }
  TraceSpan failed;
  failed.task = check;
  failed.lane = host;
  failed.name = failed.callable = sink.text("check \"5 < 6\"");
  failed.kind = SpanKind::sub;
  failed.outcome = TaskOutcome::failed;
  failed.error = sink.text("</script> is not 5");
  failed.submitted = failed.ready = failed.start = us(60);
  failed.end = us(62);
  sink.record(failed);
  TraceSpan poisoned;
  poisoned.task = again;
  poisoned.lane = host;
  poisoned.name = sink.text("verify2");
  poisoned.kind = SpanKind::sub;
  poisoned.outcome = TaskOutcome::poisoned;
  poisoned.submitted = us(61);
  sink.record(poisoned);
  sink.record(TraceEdge{check, again, EdgeKind::after});
  TraceSpan move;
  move.lane = sink.lane("node0/chip2", "moves");
  move.name = move.callable = sink.text("to the chip");
  move.kind = SpanKind::move;
  move.bytes = 4096;
  move.start = us(41);
  move.end = us(43);
  sink.record(move);
  move.name = move.callable = sink.text("to host memory");
  move.bytes = 1024;
  move.start = us(61);
  move.end = us(62);
  sink.record(move);
  sink.mark(host, sink.text("chip restarted"), us(30));
  sink.describe("platform", "a2a3sim");
  return sink.snapshot();
}

}  // namespace troupe::test

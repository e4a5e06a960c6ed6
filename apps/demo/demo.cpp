// The demo: four ranks add up their vectors through shared windows, the result is checked, and a trace of who
// did what is written. What ./dev demo runs.
#include <chrono>
#include <cstdio>
#include <iostream>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "trace/analysis.hpp"
#include "troupe/actors/trace_sink.hpp"
#include "troupe/comm/collectives.hpp"
#include "troupe/comm/communicator.hpp"

namespace {

using namespace troupe;

constexpr std::uint32_t ranks = 4;
constexpr std::size_t elements = 1 << 18;
constexpr int rounds = 5;
constexpr const char* trace_file = "demo-trace.json";

std::int64_t now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

/// What one rank does; throws troupe::Error. Returns how many elements are wrong.
std::size_t rank_program(std::uint32_t rank, const std::string& meeting, actors::TraceSink& trace) {
  const auto record = [&](const char* name, std::int64_t start) {
    actors::TraceSpan span;
    span.task = trace.reserve_tasks();
    span.lane = trace.lane("demo", "rank" + std::to_string(rank));
    span.name = span.callable = trace.text(name);
    span.kind = actors::SpanKind::sub;
    span.start = start;
    span.end = now();
    trace.record(span);
  };
  std::int64_t start = now();
  auto communicator = comm::Communicator::init(rank, ranks, meeting).value();
  const comm::CollectiveWorkspace workspace;
  (void)communicator.alloc_windows(workspace.bytes + elements * sizeof(float)).value();
  auto collectives = comm::Collectives::over(communicator.domain(), workspace).value();
  record("meet and share windows", start);

  auto* const data = reinterpret_cast<float*>(communicator.local_window_base() + workspace.bytes);
  std::size_t wrong = 0;
  for (int round = 0; round < rounds; ++round) {
    start = now();
    for (std::size_t i = 0; i < elements; ++i) data[i] = static_cast<float>(i % 1000 + rank);
    record("fill", start);
    start = now();
    collectives.all_reduce(std::span(data, elements)).value();
    record("all_reduce", start);
    start = now();
    for (std::size_t i = 0; i < elements; ++i) {
      // 0 + 1 + 2 + 3 = 6
      wrong += data[i] != static_cast<float>(ranks * (i % 1000) + 6);
    }
    record("check", start);
  }
  communicator.destroy().value();
  return wrong;
}

int demo() {
  std::cout << "All-reduce: " << ranks << " ranks, " << elements << " floats each, through shared windows\n";
  actors::TraceSink trace({.epoch = now()});
  const std::string meeting = "troupe-demo-" + std::to_string(now());
  std::vector<std::size_t> wrong(ranks);
  std::vector<std::string> errors(ranks);
  std::vector<std::thread> threads;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        wrong[rank] = rank_program(rank, meeting, trace);
      } catch (const std::exception& error) {
        errors[rank] = error.what();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  bool good = true;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    good = good && errors[rank].empty() && wrong[rank] == 0;
    std::cout << "  rank " << rank << ": ";
    if (!errors[rank].empty()) {
      std::cout << errors[rank] << "\n";
    } else {
      std::cout << wrong[rank] << " of " << elements * rounds << " elements wrong\n";
    }
  }
  const actors::Trace taken = trace.snapshot();
  actors::write_chrome_trace(taken, std::string(trace_file)).value();
  std::cout << "\n" << apps::render_summary(taken, apps::analyze(taken));
  std::cout << "\n"
            << (good ? "The result is right on every rank." : "The result is WRONG.") << "\nThe trace is in "
            << trace_file << ": look at it in https://ui.perfetto.dev\n";
  return good ? 0 : 1;
}

}  // namespace

int main() {
  try {
    return demo();
  } catch (const std::exception& error) {
    std::cerr << "troupe_demo: " << error.what() << "\n";
    return 1;
  }
}

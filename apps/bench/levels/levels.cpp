// Costs through the actors: a run, a task, a chain, an await, groups, many tensors, many chips, kernels that
// take time, a million tasks, and processor time while nothing happens; on a device that does nothing but end
// its runs, so that what is measured is troupe. Wall time and processor time per task, medians.
//   bench_levels [repeats] [what, e.g. "chain"]
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <time.h>
#include <unistd.h>

#include "levels/null_device.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;
using namespace troupe::bench;

namespace {

double seconds(Clock::time_point from) { return std::chrono::duration<double>(Clock::now() - from).count(); }

Node node_of(System& system, int chips, int microseconds = 0) {
  NodeConfig config;
  config.chips = chips;
  config.device = [microseconds](int, std::uint32_t) {
    return Result<platform::DeviceApi>(null_api(microseconds));
  };
  auto node = system.node(config);
  node.add_kernel("empty");
  return node;
}

double cpu_seconds() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

struct Series {
  std::vector<double> values;
  double cpu =
      0;  ///< processor time per unit, of the cheapest repeat: what a busy machine hides in wall time
  void add(double value) { values.push_back(value); }
  double at(double q) {
    std::sort(values.begin(), values.end());
    return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
  }
};

/// What to measure; empty: everything.
std::string only;

bool wanted(const std::string& what) { return what.find(only) != std::string::npos; }

void report(const std::string& what, Series series, const char* unit, const char* goal) {
  std::printf("%-52s %9.3f us/%-4s (%.3f to %.3f)  cpu %8.3f us  goal %s\n", what.c_str(), series.at(0.5),
              unit, series.at(0), series.at(1), series.cpu, goal);
  std::fflush(stdout);
}

/// `body` does `units` of something.
Series repeat(int repeats, int units, const std::function<void()>& body) {
  Series series;
  body();
  for (int i = 0; i < repeats; ++i) {
    const auto cpu = cpu_seconds();
    const auto begin = Clock::now();
    body();
    series.add(seconds(begin) / units * 1e6);
    const auto spent = (cpu_seconds() - cpu) / units * 1e6;
    if (i == 0 || spent < series.cpu) series.cpu = spent;
  }
  return series;
}

void independent(Orchestrator& node, Tensor x, int tasks, int tensors) {
  const auto& empty = node.callable("empty");
  std::vector<Tensor> parts;
  for (std::uint64_t t = 0; t < static_cast<std::uint64_t>(tensors); ++t) {
    parts.push_back(x.elements() > 1 ? x.slice(0, t, t + 1) : x);
  }
  for (int i = 0; i < tasks; ++i) {
    auto call = node.new_call(parts.size());
    for (const auto& part : parts) call.take(in(part));
    node.submit_gathered(empty, std::move(call));
  }
}

void chain(Orchestrator& node, Tensor x, int tasks) {
  const auto& empty = node.callable("empty");
  for (int i = 0; i < tasks; ++i) node.submit(empty, inout(x));
}

Program awaits(Orchestrator& node, Tensor x, int tasks) {
  const auto& empty = node.callable("empty");
  for (int i = 0; i < tasks; ++i) co_await node.submit(empty, inout(x));
}

void waits(Orchestrator& node, Tensor x, int tasks) {
  const auto& empty = node.callable("empty");
  for (int i = 0; i < tasks; ++i) node.submit(empty, inout(x)).wait();
}

void groups(Orchestrator& node, Tensor x, int tasks) {
  for (int i = 0; i < tasks; ++i) {
    std::vector<Args> members;
    for (int chip = 0; chip < node.chips(); ++chip) members.push_back(args(in(x)));
    node.submit_group("empty", std::move(members));
  }
}

long resident_kib() {
  long pages = 0;
  if (auto* file = std::fopen("/proc/self/statm", "r")) {
    long size = 0;
    if (std::fscanf(file, "%ld %ld", &size, &pages) != 2) pages = 0;
    std::fclose(file);
  }
  return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

void measure(const std::string& what, int repeats, int units, const char* unit, const char* goal,
             const std::function<void()>& body) {
  if (wanted(what)) report(what, repeat(repeats, units, body), unit, goal);
}

void tasks_on(System& system, int repeats, int chips) {
  auto node = node_of(system, chips);
  auto x = node.tensor<float>({1});
  const auto with = ", " + std::to_string(chips) + (chips == 1 ? " chip" : " chips");
  measure("independent, 3 tensors" + with, repeats, 20000, "task", "<= 0.5",
          [&] { node.run(independent, x, 20000, 3); });
  measure("chain" + with, repeats, 20000, "task", "<= 1.0", [&] { node.run(chain, x, 20000); });
  measure("awaited by a coroutine" + with, repeats, 2000, "task", "<= 3", [&] { node.run(awaits, x, 2000); });
  measure("awaited by a plain function" + with, repeats, 2000, "task", "-",
          [&] { node.run(waits, x, 2000); });
  measure("a run with one task, from main" + with, repeats, 200, "run", "<= 10", [&] {
    for (int i = 0; i < 200; ++i) node.run(independent, x, 1, 3);
  });
  if (chips > 1) {
    measure("group over all" + with, repeats, 2000, "task", "-", [&] { node.run(groups, x, 2000); });
  }
}

void many_tensors(System& system, int repeats) {
  auto node = node_of(system, 1);
  auto x = node.tensor<float>({142});
  for (int tensors : {3, 32, 142}) {
    measure("independent, " + std::to_string(tensors) + " tensors", repeats, 2000, "task",
            tensors == 142 ? "<= 10" : "-", [&] { node.run(independent, x, 2000, tensors); });
  }
}

/// Kernels that keep the only core of their chip busy for so long: what troupe adds to each.
void kernels_of(System& system, int repeats, int microseconds) {
  auto node = node_of(system, 1, microseconds);
  auto x = node.tensor<float>({1});
  auto beside = [&](const std::string& graph, const char* goal, const std::function<void()>& body) {
    const auto what = graph + ", kernels of " + std::to_string(microseconds) + " us, time beside the kernel";
    if (!wanted(what)) return;
    auto series = repeat(repeats, 2000, body);
    for (auto& value : series.values) value -= microseconds;
    series.cpu -= microseconds;
    report(what, series, "task", goal);
  };
  beside("independent", "-", [&] { node.run(independent, x, 2000, 3); });
  beside("chain", "<= 3", [&] { node.run(chain, x, 2000); });
}

/// Processor time of this process in a second of `nothing`, in percent of a core.
void quiet(const std::string& what, const std::function<void()>& nothing) {
  const auto cpu = cpu_seconds();
  const auto begin = Clock::now();
  nothing();
  std::printf("%-52s %9.3f %% of a core  goal 0\n", what.c_str(),
              (cpu_seconds() - cpu) / seconds(begin) * 100);
}

/// Everything waits: kernels for what does not come, programs of both forms and `main` for them.
void waiting(System& system) {
  const std::string what = "8 chips, 3 programs and main wait";
  if (!wanted(what)) return;
  auto node = node_of(system, 8, until_given_up);
  auto x = node.tensor<float>({1});
  std::vector<Handle> runs;
  runs.push_back(node.submit(awaits, x, 1));
  runs.push_back(node.submit(waits, x, 1));
  runs.push_back(node.submit(
      [](Orchestrator& n, Tensor one) {
        for (int chip = 0; chip < n.chips(); ++chip) n.submit("empty", in(one), on_chip(chip));
        n.drain();
      },
      x));
  auto with_chips = [&node] {
    std::uint64_t tasks = 0;
    for (const auto& chip : node.status().children) tasks += chip.running;
    return tasks;
  };
  while (with_chips() < 10) std::this_thread::yield();  // before the measurement begins
  quiet(what, [&] {
    for (auto& run : runs) {
      if (run.wait(std::chrono::milliseconds(333))) std::printf("a run has ended that should wait\n");
    }
  });
  for (auto& run : runs) run.cancel();
}

/// Direct use of a chip whose memory is the host's: what a copy takes beside a memcpy of the same bytes,
/// alternating.
void copies(System& system, int repeats) {
  NodeConfig config;
  platform::ScriptedChipOptions options;
  options.memory_bytes = 1ULL << 30U;
  config.device = [script = platform::ScriptedChip(options)](int, std::uint32_t) {
    return Result<platform::DeviceApi>(script.api());
  };
  std::optional<Node> node;
  for (const std::uint64_t kib : {4, 64, 256, 512, 1024, 16384, 262144}) {
    const auto bytes = kib << 10U;
    const auto what = "copy_to of " + std::to_string(kib) + " KiB";
    if (!wanted(what)) continue;
    if (!node) node.emplace(system.node(config));
    auto chip = node->chip(0);
    const auto host = node->tensor<std::uint8_t>({static_cast<std::uint32_t>(bytes)}, 1);
    const auto there = chip.malloc<std::uint8_t>({static_cast<std::uint32_t>(bytes)});
    std::vector<std::uint8_t> plain(bytes);
    const int times = bytes < (8ULL << 20U) ? 200 : 1;
    auto copied = [&] {
      return repeat(1, times, [&] {
        for (int i = 0; i < times; ++i) chip.copy_to(there, host);
      });
    };
    auto moved = [&] {
      return repeat(1, times, [&] {
        for (int i = 0; i < times; ++i) std::memcpy(plain.data(), host.host<std::uint8_t>().data(), bytes);
      });
    };
    Series ours, theirs;
    for (int i = 0; i < repeats; ++i) {
      ours.add(copied().at(0));
      theirs.add(moved().at(0));
    }
    report(what, ours, "copy", "-");
    report("memcpy of the same", theirs, "copy", "-");
  }
}

void million(System& system) {
  if (!wanted("1,000,000 tasks")) return;
  auto node = node_of(system, 1);
  auto x = node.tensor<float>({3});
  node.run(independent, x, 100000, 3);
  const auto before = resident_kib();
  const auto begin = Clock::now();
  node.run(independent, x, 1000000, 3);
  std::printf("1,000,000 tasks in one run: %.3f us/task, resident memory %+ld KiB against 100,000 tasks\n",
              seconds(begin), resident_kib() - before);
}

void thousand(System& system) {
  if (!wanted("1,000 chips")) return;
  const auto begin = Clock::now();
  auto node = node_of(system, 1000);
  const auto up = seconds(begin);
  auto x = node.tensor<float>({1});
  node.run(
      [](Orchestrator& n, Tensor one) {
        for (int i = 0; i < 1000; ++i) n.submit("empty", in(one), on_chip(i));
      },
      x);
  std::printf("1,000 chips, one task each: up in %.3f s, all done after %.3f s  goal <= 2 s\n", up,
              seconds(begin));
  // A second in which nobody asks for anything: that is what is measured.
  quiet("idle, 1,000 chips", [] { usleep(1000000); });
}

}  // namespace

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 9;
  if (repeats < 1) {
    std::fprintf(stderr, "usage: bench_levels [repeats] [what, e.g. \"chain\"]\n");
    return 2;
  }
  if (argc > 2) only = argv[2];
  System system;
  for (int chips : {1, 2, 8, 64}) tasks_on(system, repeats, chips);
  many_tensors(system, repeats);
  for (int microseconds : {2, 10, 50}) kernels_of(system, repeats, microseconds);
  copies(system, repeats);
  million(system);
  waiting(system);
  thousand(system);
  return 0;
}

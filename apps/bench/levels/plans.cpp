// What a replay costs beside the program it was recorded of: submitted anew and as a plan, in turns, on a
// device that does nothing but end its runs and on a simulated chip with empty kernels. Wall time and
// processor time (all threads together; comparable on a busy machine) a task, medians, and the memory of a
// plan. Where OpenMP is found, its tasks with the same edges take turns with them, too.
//   bench_plans [repeats] [tasks]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <time.h>

#include "chip/graphs.hpp"
#include "levels/null_device.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;
using namespace troupe::bench;

TROUPE_KERNEL(bench_empty)(KernelArgs&) {}
TROUPE_MODULE("bench_plans");

namespace troupe::bench {
/// The work of a task for OpenMP: none.
void work_for(std::uint64_t) noexcept {}
}  // namespace troupe::bench

namespace {

int tasks = 10000;

struct Series {
  std::vector<double> values;
  double at(double q) {
    std::sort(values.begin(), values.end());
    return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
  }
};

double cpu_seconds() {
  timespec used{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

/// Microseconds a task of one way to submit the graph.
struct Cost {
  Series wall, cpu;
  void measure(const std::function<void()>& body) {
    const auto cpu_before = cpu_seconds();
    const auto begin = Clock::now();
    body();
    wall.values.push_back(std::chrono::duration<double>(Clock::now() - begin).count() * 1e6 / tasks);
    cpu.values.push_back((cpu_seconds() - cpu_before) * 1e6 / tasks);
  }
};

/// The numbers of three of 16, the same in each run.
struct Numbers {
  std::uint64_t random = 7;
  std::uint32_t next() {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    return static_cast<std::uint32_t>(random >> 60U);
  }
};

/// Each reads two tensors and writes one, of 16: a graph with some width.
void random_graph(Orchestrator& node, Tensor x, Tensor y) {
  std::vector<Tensor> parts;
  for (std::uint64_t i = 0; i < 8; ++i) parts.push_back(x.slice(0, i, i + 1));
  for (std::uint64_t i = 0; i < 8; ++i) parts.push_back(y.slice(0, i, i + 1));
  Numbers numbers;
  const auto next = [&]() -> const Tensor& { return parts[numbers.next()]; };
  for (int i = 0; i < tasks; ++i) {
    const auto &a = next(), &b = next(), &c = next();
    node.submit("bench_empty", in(a), in(b), inout(c));
  }
}
void independent_tasks(Orchestrator& node, Tensor x, Tensor y) {
  for (int i = 0; i < tasks; ++i) node.submit("bench_empty", in(x), in(y), in(x));
}
void chain_of_tasks(Orchestrator& node, Tensor x, Tensor) {
  for (int i = 0; i < tasks; ++i) node.submit("bench_empty", inout(x));
}
/// A new intermediate for each link.
void intermediates(Orchestrator& node, Tensor x, Tensor y) {
  auto before = x;
  for (int i = 0; i + 1 < tasks; ++i) {
    auto after = node.alloc<float>({8});
    node.submit("bench_empty", in(before), out(after));
    before = after;
  }
  node.submit("bench_empty", in(before), out(y));
}

/// The same edges for OpenMP.
Graph random_cells() {
  Graph graph{"random", 16, {}};
  Numbers numbers;
  for (int i = 0; i < tasks; ++i) {
    Access task;
    task.read_count = 2;
    task.reads[0] = numbers.next();
    task.reads[1] = numbers.next();
    task.write = numbers.next();
    graph.tasks.push_back(task);
  }
  return graph;
}
Graph cells_in_a_row() {
  Graph graph{"in a row", static_cast<std::uint32_t>(tasks) + 1, {}};
  for (std::uint32_t i = 0; i < graph.cells - 1; ++i) graph.tasks.push_back({{i}, 1, i + 1, false});
  return graph;
}

using Submits = void (*)(Orchestrator&, Tensor, Tensor);

void compare(const std::string& what, const Node& node, Submits graph, [[maybe_unused]] const Graph& cells,
             int repeats) {
  auto x = node.tensor<float>({8}), y = node.tensor<float>({8}), a = node.tensor<float>({8}),
       b = node.tensor<float>({8});
  const auto plan = node.record(graph, x, y);
  node.run(plan, a, b);
  Cost fresh, replayed, peer;
  Series wall, cpu, wall_to_peer, cpu_to_peer;
  for (int i = 0; i < repeats; ++i) {
    fresh.measure([&] { node.run(graph, x, y); });
    replayed.measure([&] { node.run(plan, i % 2 == 0 ? a : x, b); });
    wall.values.push_back(replayed.wall.values.back() / fresh.wall.values.back());
    cpu.values.push_back(replayed.cpu.values.back() / fresh.cpu.values.back());
#ifdef TROUPE_BENCH_OPENMP
    peer.measure([&] { run_openmp(cells, 0); });
    wall_to_peer.values.push_back(replayed.wall.values.back() / peer.wall.values.back());
    cpu_to_peer.values.push_back(replayed.cpu.values.back() / peer.cpu.values.back());
#endif
  }
  std::printf(
      "%-28s wall: fresh %7.3f us, replay %7.3f us, ratio %.2f (%.2f to %.2f)  cpu: %6.3f us, %6.3f us, "
      "ratio %.2f (%.2f to %.2f)  goal <= 0.25  %zu steps, %.0f bytes a task, goal <= 128\n",
      what.c_str(), fresh.wall.at(0.5), replayed.wall.at(0.5), wall.at(0.5), wall.at(0), wall.at(1),
      fresh.cpu.at(0.5), replayed.cpu.at(0.5), cpu.at(0.5), cpu.at(0), cpu.at(1), plan.steps(),
      static_cast<double>(plan.bytes()) / static_cast<double>(plan.tasks()));
  if (!peer.wall.values.empty()) {
    std::printf(
        "%-28s wall: OpenMP %6.3f us, replay / OpenMP %.2f (%.2f to %.2f)  cpu: OpenMP %6.3f us, replay / "
        "OpenMP %.2f (%.2f to %.2f)  goal <= 1.2\n",
        "", peer.wall.at(0.5), wall_to_peer.at(0.5), wall_to_peer.at(0), wall_to_peer.at(1), peer.cpu.at(0.5),
        cpu_to_peer.at(0.5), cpu_to_peer.at(0), cpu_to_peer.at(1));
  }
  std::fflush(stdout);
}

void all(const std::string& where, const Node& node, int repeats) {
  const auto count = static_cast<std::uint32_t>(tasks);
  compare(where + ", independent", node, independent_tasks, independent(count), repeats);
  compare(where + ", chain", node, chain_of_tasks, chain(count), repeats);
  compare(where + ", random graph", node, random_graph, random_cells(), repeats);
  compare(where + ", intermediates", node, intermediates, cells_in_a_row(), repeats);
}

}  // namespace

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 9;
  if (argc > 2) tasks = std::atoi(argv[2]);
  if (repeats < 1 || tasks < 1) {
    std::fprintf(stderr, "usage: bench_plans [repeats] [tasks]\n");
    return 2;
  }
  troupe::System system;
  {
    NodeConfig config;
    config.chips = 1;
    config.device = [](int, std::uint32_t) { return Result<platform::DeviceApi>(null_api()); };
    auto node = system.node(config);
    node.load(this_module());
    all("null device", node, repeats);
  }
  auto node = system.node({.platform = "a2a3sim", .chips = 1});
  node.load(this_module());
  all("a2a3sim", node, repeats);
  return 0;
}

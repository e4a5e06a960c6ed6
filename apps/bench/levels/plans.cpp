// What a replay costs beside the program it was recorded of: submitted anew and as a plan, in turns, on a
// device that does nothing but end its runs and on a simulated chip with empty kernels. Wall time and
// processor time (all threads together; comparable on a busy machine) a task, medians, and the memory of a
// plan.
//   bench_plans [repeats] [tasks]
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <vector>

#include <time.h>

#include "levels/null_device.hpp"
#include "troupe/troupe.hpp"

using namespace troupe;
using namespace troupe::bench;

TROUPE_KERNEL(bench_empty)(KernelArgs&) {}
TROUPE_MODULE("bench_plans");

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

/// Each reads two tensors and writes one, of 16: a graph with some width.
void random_graph(Orchestrator& node, Tensor x, Tensor y) {
  std::vector<Tensor> parts;
  for (std::uint64_t i = 0; i < 8; ++i) parts.push_back(x.slice(0, i, i + 1));
  for (std::uint64_t i = 0; i < 8; ++i) parts.push_back(y.slice(0, i, i + 1));
  std::uint64_t random = 7;
  const auto next = [&]() -> const Tensor& {
    random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    return parts[random >> 60U];
  };
  for (int i = 0; i < tasks; ++i) {
    const auto &a = next(), &b = next(), &c = next();
    node.submit("bench_empty", in(a), in(b), inout(c));
  }
}
void independent(Orchestrator& node, Tensor x, Tensor y) {
  for (int i = 0; i < tasks; ++i) node.submit("bench_empty", in(x), in(y), in(x));
}
void chain(Orchestrator& node, Tensor x, Tensor) {
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

using Graph = void (*)(Orchestrator&, Tensor, Tensor);

void compare(const std::string& what, const Node& node, Graph graph, int repeats) {
  auto x = node.tensor<float>({8}), y = node.tensor<float>({8}), a = node.tensor<float>({8}),
       b = node.tensor<float>({8});
  const auto plan = node.record(graph, x, y);
  node.run(plan, a, b);
  Cost fresh, replayed;
  Series wall, cpu;
  for (int i = 0; i < repeats; ++i) {
    fresh.measure([&] { node.run(graph, x, y); });
    replayed.measure([&] { node.run(plan, i % 2 == 0 ? a : x, b); });
    wall.values.push_back(replayed.wall.values.back() / fresh.wall.values.back());
    cpu.values.push_back(replayed.cpu.values.back() / fresh.cpu.values.back());
  }
  std::printf(
      "%-28s wall: fresh %7.3f us, replay %7.3f us, ratio %.2f (%.2f to %.2f)  cpu: %6.3f us, %6.3f us, "
      "ratio %.2f (%.2f to %.2f)  goal <= 0.25  %zu steps, %.0f bytes a task, goal <= 128\n",
      what.c_str(), fresh.wall.at(0.5), replayed.wall.at(0.5), wall.at(0.5), wall.at(0), wall.at(1),
      fresh.cpu.at(0.5), replayed.cpu.at(0.5), cpu.at(0.5), cpu.at(0), cpu.at(1), plan.steps(),
      static_cast<double>(plan.bytes()) / static_cast<double>(plan.tasks()));
  std::fflush(stdout);
}

void all(const std::string& where, const Node& node, int repeats) {
  compare(where + ", independent", node, independent, repeats);
  compare(where + ", chain", node, chain, repeats);
  compare(where + ", random graph", node, random_graph, repeats);
  compare(where + ", intermediates", node, intermediates, repeats);
}

}  // namespace

int main(int argc, char** argv) {
  const int repeats = argc > 1 ? std::atoi(argv[1]) : 9;
  if (argc > 2) tasks = std::atoi(argv[2]);
  if (repeats < 1 || tasks < 1) {
    std::fprintf(stderr, "usage: bench_plans [repeats] [tasks]\n");
    return 2;
  }
  System system;
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

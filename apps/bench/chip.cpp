// What one task costs on a simulated chip, and how small a task may be, beside StarPU, OpenMP and TBB.
//   bench_chip [runs] [tasks] [alone [ns] | patterns | without-starpu]
// alone: no peers, only kernels of that length; patterns: no peers, how much of the peak is kept.
// StarPU's workers spin for ever: with a real-time priority they would starve the thread that feeds them.
// All systems get the same graphs and two threads, and alternate within one run; medians. Every run is
// checked: each task adds one to a counter of its thread's cell, and a chain's value must come out.
#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "chip_graphs.hpp"
#include "troupe/platform/chip_program.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/run_args.hpp"
#include "troupe/runtime/module.hpp"

namespace troupe::bench {

void work_for(std::uint64_t ns) noexcept {
  if (ns == 0) return;
  const auto end = std::chrono::steady_clock::now() + std::chrono::nanoseconds(ns);
  while (std::chrono::steady_clock::now() < end) {
  }
}

}  // namespace troupe::bench

using namespace troupe;
using namespace troupe::platform;
using troupe::bench::Graph;
using troupe::runtime::KernelArgs;

TROUPE_KERNEL(work)(KernelArgs& k) { bench::work_for(k.scalar<std::uint64_t>(0)); }
TROUPE_KERNEL(nothing)(KernelArgs&) {}

// The graph as an on-chip program: inference from tags. Its tensors were made before, like the peers'
// handles.
TROUPE_CHIP_PROGRAM(run_graph)(ChipOrchestrator& chip, ChipArgs args) {
  const auto& graph = *args.scalar<const Graph*>(0);
  const auto ns = args.scalar<std::uint64_t>(1);
  const auto& cells = *args.scalar<const std::vector<Tensor>*>(2);
  const std::string_view kernel = ns == 0 ? "nothing" : "work";
  const auto ns_word = runtime::scalar(ns);
  for (const auto& task : graph.tasks) {
    const auto r = [&](std::uint32_t k) { return in(cells[task.reads[k]]); };
    const runtime::TensorArg w = task.updates ? inout(cells[task.write]) : out(cells[task.write]);
    switch (task.read_count) {
      case 0:
        chip.aiv(kernel, w, ns_word);
        break;
      case 1:
        chip.aiv(kernel, r(0), w, ns_word);
        break;
      case 2:
        chip.aiv(kernel, r(0), r(1), w, ns_word);
        break;
      case 3:
        chip.aiv(kernel, r(0), r(1), r(2), w, ns_word);
        break;
      case 4:
        chip.aiv(kernel, r(0), r(1), r(2), r(3), w, ns_word);
        break;
      default:
        chip.aiv(kernel, r(0), r(1), r(2), r(3), r(4), w, ns_word);
        break;
    }
  }
}

TROUPE_MODULE("bench_chip");

namespace {

class Chip {
 public:
  Chip()
      : context_(DeviceContext::create(DeviceLibrary::open(TROUPE_BENCH_PLATFORM).value().api(),
                                       std::make_shared<HostThreads>())
                     .value()) {
    context_.set_option("workers", "2").value();
    context_.set_device(0).value();
    program_ = context_.register_callable("run_graph", troupe_this_module).value();
    memory_ = context_.malloc(bytes).value();
  }

  double run(const Graph& graph, std::uint64_t ns) {
    RunArgs args;
    const Tensor memory = Tensor::create({0, 0, memory_}, bytes, 0, {bytes / 4}, runtime::DType::f32).value();
    args.add_device(inout(memory), memory_);
    while (cells_.size() < graph.cells) {
      const runtime::BufferRef place{0, 0, memory_ + cells_.size() * 64};
      cells_.push_back(Tensor::create(place, 64, 0, {16}, runtime::DType::f32).value());
    }
    const Graph* where = &graph;
    const std::vector<Tensor>* cells = &cells_;
    args.add(runtime::scalar(where)).add(runtime::scalar(ns)).add(runtime::scalar(cells));
    const auto begin = std::chrono::steady_clock::now();
    const auto done = context_.run(args.run(0, program_)).value();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (done.chip_tasks != graph.tasks.size()) {
      std::fprintf(stderr, "bench_chip: %s ran %llu of %zu tasks\n", graph.name,
                   static_cast<unsigned long long>(done.chip_tasks), graph.tasks.size());
      std::exit(1);
    }
    return seconds;
  }

 private:
  static constexpr std::uint64_t bytes = 64ull * 1'100'000;
  DeviceContext context_;
  std::uint64_t program_ = 0, memory_ = 0;
  std::vector<Tensor> cells_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

using Named = std::pair<const char*, std::function<double(const Graph&, std::uint64_t)>>;

std::vector<Named> systems(Chip& chip) {
  std::vector<Named> all{{"troupe", [&chip](const Graph& g, std::uint64_t ns) { return chip.run(g, ns); }}};
#ifdef TROUPE_BENCH_OPENMP
  all.emplace_back("OpenMP depend", bench::run_openmp);
#endif
#ifdef TROUPE_BENCH_TBB
  all.emplace_back("TBB flow graph", bench::run_tbb);
#endif
#ifdef TROUPE_BENCH_STARPU
  all.emplace_back("StarPU", bench::run_starpu);
#endif
  return all;
}

void print_header(const std::vector<Named>& all, const char* first) {
  std::printf("| %s |", first);
  for (const auto& system : all) std::printf(" %s |", system.first);
  std::printf("\n|---|");
  for (std::size_t i = 0; i < all.size(); ++i) std::printf("---|");
  std::printf("\n");
}

void compare(const std::vector<Named>& all, const Graph& graph, std::uint64_t ns, int runs) {
  std::vector<std::vector<double>> times(all.size());
  for (int run = 0; run < runs; ++run) {
    for (std::size_t i = 0; i < all.size(); ++i) times[i].push_back(all[i].second(graph, ns));
  }
  std::printf("| %s |", graph.name);
  for (auto& series : times)
    std::printf(" %.0f |", median(series) * 1e9 / static_cast<double>(graph.tasks.size()));
  std::printf("\n");
  std::fflush(stdout);
}

constexpr std::uint32_t pattern_width = 4, pattern_steps = 2000;
const char* const patterns[] = {"trivial", "stencil_1d", "fft", "nearest"};

// The part of two threads' peak that is kept with tasks of this length.
double efficiency(const Named& system, const Graph& graph, std::uint64_t ns, int runs) {
  std::vector<double> times;
  for (int run = 0; run < runs; ++run) times.push_back(system.second(graph, ns));
  return static_cast<double>(graph.tasks.size()) * static_cast<double>(ns) * 1e-9 / 2 / median(times);
}

// The smallest task at which two threads keep half of their peak, in microseconds.
double metg(const Named& system, const Graph& graph, int runs) {
  double smallest = -1;
  for (std::uint64_t ns = 32'000; ns >= 125; ns /= 2) {
    if (efficiency(system, graph, ns, runs) < 0.5) return smallest;
    smallest = static_cast<double>(ns) * 1e-3;
  }
  return smallest;
}

void print_efficiencies(const Named& system, int runs) {
  std::printf("| pattern | 0.25 us | 0.5 | 1 | 2 | 4 | 8 |\n|---|---|---|---|---|---|---|\n");
  for (std::uint32_t kind = 0; kind < 4; ++kind) {
    const Graph graph = bench::pattern(patterns[kind], kind, pattern_width, pattern_steps);
    std::printf("| %s |", patterns[kind]);
    for (std::uint64_t ns = 250; ns <= 8'000; ns *= 2) {
      std::printf(" %.0f %% |", 100 * efficiency(system, graph, ns, runs));
    }
    std::printf("\n");
  }
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// What chips cost while nobody asks for anything: the one place where sleeping is the point.
void measure_idle() {
  constexpr int count = 100;
  const Graph graph = bench::stencil(1000, 64);
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<Chip>> chips;
  for (int i = 0; i < count; ++i) chips.push_back(std::make_unique<Chip>());
  const double created = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  for (auto& chip : chips) chip->run(graph, 0);
  const double before = cpu_seconds();
  std::this_thread::sleep_for(std::chrono::seconds(2));  // in which nobody asks for anything
  const double idle = (cpu_seconds() - before) / 2;
  std::printf("\n%d chips: created in %.1f ms; idle after a run each, %.3f %% of one processor in all\n",
              count, created * 1e3, idle * 1e2);
}

}  // namespace

int main(int argc, char** argv) {
  const int runs = argc > 1 ? std::atoi(argv[1]) : 7;
  const auto count = static_cast<std::uint32_t>(argc > 2 ? std::atoi(argv[2]) : 100'000);
  if (runs < 1 || count < 1) {
    std::fprintf(stderr, "usage: bench_chip [runs] [tasks] [alone [ns] | patterns | without-starpu]\n");
    return 2;
  }
  Chip chip;
  auto all = systems(chip);
  const std::string_view choice = argc > 3 ? argv[3] : "";
  const bool alone = choice == "alone";
  if (choice == "patterns") {
    print_efficiencies(all.front(), runs);
    return 0;
  }
  if (alone) all.resize(1);
  if (choice == "without-starpu") {
    std::erase_if(all, [](const Named& system) { return std::string_view(system.first) == "StarPU"; });
  }
  const std::vector<Graph> graphs{bench::independent(count), bench::chain(count), bench::stencil(count),
                                  bench::random(count), bench::tree(count)};
  for (const auto& graph : graphs) chip.run(graph, 0);  // the first touch of everything
  const std::uint64_t length = alone && argc > 4 ? static_cast<std::uint64_t>(std::atoi(argv[4])) : 0;
  std::printf("ns per task, kernels of %llu ns, %u tasks, median of %d\n\n",
              static_cast<unsigned long long>(length), count, runs);
  print_header(all, "graph");
  for (const auto& graph : graphs) compare(all, graph, length, runs);
  if (alone) return 0;
  for (const std::uint64_t ns : std::array<std::uint64_t, 3>{2'000, 10'000, 50'000}) {
    std::printf("\nns per task, kernels of %llu us, two threads\n\n",
                static_cast<unsigned long long>(ns / 1000));
    print_header(all, "graph");
    const auto fewer = static_cast<std::uint32_t>(std::min<std::uint64_t>(count, 40'000'000 / ns));
    for (const auto& graph : {bench::independent(fewer), bench::chain(fewer), bench::stencil(fewer, 64),
                              bench::random(fewer), bench::tree(fewer)}) {
      compare(all, graph, ns, std::min(runs, 3));
    }
  }
  std::printf("\nMETG(50 %%), us, width 4, 2 threads\n\n");
  print_header(all, "pattern");
  for (std::uint32_t kind = 0; kind < 4; ++kind) {
    const Graph graph = bench::pattern(patterns[kind], kind, pattern_width, pattern_steps);
    std::printf("| %s |", patterns[kind]);
    for (const auto& system : all) {
      const double smallest = metg(system, graph, 3);
      if (smallest < 0) {
        std::printf(" > 32 |");
      } else {
        std::printf(" %.2f |", smallest);
      }
      std::fflush(stdout);
    }
    std::printf("\n");
  }
  measure_idle();
}

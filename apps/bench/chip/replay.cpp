// What a task costs on a simulated chip when its graph is replayed, beside the same graph submitted anew.
//   bench_chip_replay [pairs] [tasks]
// Kernels are empty, and of a module that has kernels that wait, so that no task is over inside its submit.
// Fresh and replayed take turns within one process; medians of wall time and of the processor time of all
// threads. Every run is checked: as many kernels as the graph has tasks.
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include "chip/graphs.hpp"
#include "troupe/platform/chip_program.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/run_args.hpp"
#include "troupe/runtime/module.hpp"

using namespace troupe;
using namespace troupe::platform;
using troupe::bench::Graph;
using troupe::runtime::KernelArgs;

TROUPE_KERNEL(nothing)(KernelArgs&) {}
TROUPE_KERNEL(waits)(KernelArgs& k) { (void)k.wait_until(k.tensor<int>(0)[0], runtime::Compare::equal, 1); }

namespace {

void submit_all(ChipOrchestrator& chip, const Graph& graph, const std::vector<Tensor>& cells) {
  for (const auto& task : graph.tasks) {
    const auto r = [&](std::uint32_t k) { return in(cells[task.reads[k]]); };
    const runtime::TensorArg w = task.updates ? inout(cells[task.write]) : out(cells[task.write]);
    switch (task.read_count) {
      case 0:
        chip.aiv("nothing", w);
        break;
      case 1:
        chip.aiv("nothing", r(0), w);
        break;
      case 3:
        chip.aiv("nothing", r(0), r(1), r(2), w);
        break;
      default:
        chip.aiv("nothing", r(0), r(1), r(2), r(3), r(4), w);
        break;
    }
  }
}

}  // namespace

TROUPE_CHIP_PROGRAM(run_graph)(ChipOrchestrator& chip, ChipArgs args) {
  const auto& graph = *args.scalar<const Graph*>(0);
  const auto& cells = *args.scalar<const std::vector<Tensor>*>(1);
  if (args.scalar<std::uint64_t>(2) == 0) return submit_all(chip, graph, cells);
  chip.graph(graph.name, slots(inout(args.tensor(0))), [&] { submit_all(chip, graph, cells); });
}

TROUPE_MODULE("bench_chip_replay");

namespace {

double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct Cost {
  std::vector<double> wall, processor;
  static double median(std::vector<double> values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
  }
};

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
    for (std::uint64_t at = 0; at < bytes; at += 64)
      cells_.push_back(Tensor::create({0, 0, memory_ + at}, 64, 0, {16}, runtime::DType::f32).value());
  }

  void run(const Graph& graph, bool replay, Cost* cost) {
    const Tensor memory = Tensor::create({0, 0, memory_}, bytes, 0, {bytes / 4}, runtime::DType::f32).value();
    const auto* where = &graph;
    const auto* cells = &cells_;
    RunArgs args;
    args.add_device(inout(memory), memory_);
    args.add(runtime::scalar(where)).add(runtime::scalar(cells)).add(runtime::scalar(std::uint64_t{replay}));
    const auto begin = std::chrono::steady_clock::now();
    const double used = processor_seconds();
    const auto done = context_.run(args.run(0, program_)).value();
    const auto tasks = static_cast<double>(graph.tasks.size());
    if (cost != nullptr) {
      cost->processor.push_back((processor_seconds() - used) * 1e9 / tasks);
      cost->wall.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() *
                           1e9 / tasks);
    }
    if (done.chip_tasks == graph.tasks.size()) return;
    std::fprintf(stderr, "bench_chip_replay: %s ran %llu of %zu tasks\n", graph.name,
                 static_cast<unsigned long long>(done.chip_tasks), graph.tasks.size());
    std::exit(1);
  }

 private:
  static constexpr std::uint64_t bytes = 64ull * 1'100'000;
  DeviceContext context_;
  std::uint64_t program_ = 0, memory_ = 0;
  std::vector<Tensor> cells_;
};

}  // namespace

int main(int argc, char** argv) {
  const int pairs = argc > 1 ? std::atoi(argv[1]) : 15;
  const int tasks = argc > 2 ? std::atoi(argv[2]) : 10'000;
  if (pairs < 1 || tasks < 1 || tasks > 1'000'000) {
    std::fprintf(stderr, "usage: bench_chip_replay [pairs] [tasks]\n");
    return 2;
  }
  Chip chip;
  const auto count = static_cast<std::uint32_t>(tasks);
  std::printf("ns per task of %u, empty kernels, medians of %d pairs\n\n", count, pairs);
  std::printf("| graph | wall: fresh | replay | ratio | processor: fresh | replay | ratio |\n");
  std::printf("|---|---|---|---|---|---|---|\n");
  for (const auto& graph : {bench::independent(count), bench::chain(count), bench::stencil(count),
                            bench::random(count), bench::tree(count)}) {
    Cost fresh, replay;
    for (int i = 0; i < 3; ++i) {
      chip.run(graph, false, nullptr);
      chip.run(graph, true, nullptr);
    }
    for (int i = 0; i < pairs; ++i) {
      chip.run(graph, false, &fresh);
      chip.run(graph, true, &replay);
    }
    const double wall = Cost::median(fresh.wall), again = Cost::median(replay.wall);
    const double used = Cost::median(fresh.processor), reused = Cost::median(replay.processor);
    std::printf("| %s | %.0f | %.0f | %.2f | %.0f | %.0f | %.2f |\n", graph.name, wall, again, again / wall,
                used, reused, reused / used);
    std::fflush(stdout);
  }
}

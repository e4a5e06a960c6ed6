#include "chip/simulated.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "troupe/platform/chip_program.hpp"
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

namespace troupe::bench {

SimulatedChip::SimulatedChip()
    : context_(DeviceContext::create(DeviceLibrary::open(TROUPE_BENCH_PLATFORM).value().api(),
                                     std::make_shared<HostThreads>())
                   .value()) {
  context_.set_option("workers", "2").value();
  context_.set_device(0).value();
  program_ = context_.register_callable("run_graph", troupe_this_module).value();
  memory_ = context_.malloc(bytes).value();
}

double SimulatedChip::run(const Graph& graph, std::uint64_t ns) {
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

}  // namespace troupe::bench

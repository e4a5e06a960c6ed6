// What a task costs that an orchestration object submits, beside the same graph as a chip program of a
// module, both with the same kernel in the foreign form.
//   bench_objects [runs] [tasks]
// The two alternate within one run; medians, and the ratio. Every run is checked: all tasks ran.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "chip/graphs.hpp"
#include "troupe/platform/chip_program.hpp"
#include "troupe/platform/device_context.hpp"
#include "troupe/platform/device_library.hpp"
#include "troupe/platform/host_threads.hpp"
#include "troupe/platform/run_args.hpp"
#include "troupe/runtime/kernel_abi.hpp"
#include "troupe/runtime/module.hpp"

using namespace troupe;
using namespace troupe::platform;
using troupe::bench::Graph;

TROUPE_CHIP_PROGRAM(run_graph)(ChipOrchestrator& chip, ChipArgs args) {
  const auto& graph = *args.scalar<const Graph*>(0);
  const auto& cells = *args.scalar<const std::vector<Tensor>*>(1);
  const auto zero = runtime::scalar(std::uint64_t{0});
  for (const auto& task : graph.tasks) {
    const auto r = [&](std::uint32_t k) { return in(cells[task.reads[k]]); };
    const runtime::TensorArg w = task.updates ? inout(cells[task.write]) : out(cells[task.write]);
    switch (task.read_count) {
      case 0:
        chip.aiv("0", w, zero);
        break;
      case 1:
        chip.aiv("0", r(0), w, zero);
        break;
      case 2:
        chip.aiv("0", r(0), r(1), w, zero);
        break;
      case 3:
        chip.aiv("0", r(0), r(1), r(2), w, zero);
        break;
      case 4:
        chip.aiv("0", r(0), r(1), r(2), r(3), w, zero);
        break;
      default:
        chip.aiv("0", r(0), r(1), r(2), r(3), r(4), w, zero);
        break;
    }
  }
}

TROUPE_MODULE("bench_objects");

namespace {

constexpr std::uint64_t cell_bytes = 64, most_cells = 1'100'000;

class Chip {
 public:
  Chip()
      : context_(DeviceContext::create(DeviceLibrary::open(TROUPE_BENCH_PLATFORM).value().api(),
                                       std::make_shared<HostThreads>())
                     .value()) {
    context_.set_option("workers", "2").value();
    context_.set_device(0).value();
    native_ = context_.register_callable("run_graph", troupe_this_module).value();
    add_bytes("0", TROUPE_BENCH_KERNEL);
    object_ = add_bytes("graph", TROUPE_BENCH_OBJECT);
    memory_ = context_.malloc(cell_bytes * most_cells).value();
  }

  double run(bool object, const Graph& graph) {
    while (cells_.size() < graph.cells) {
      const runtime::BufferRef place{0, 0, memory_ + cells_.size() * cell_bytes};
      cells_.push_back(Tensor::create(place, cell_bytes, 0, {16}, runtime::DType::f32).value());
      described_.push_back(runtime::describe(cells_.back(), place.offset, runtime::AddressSpace::device));
    }
    const Graph* where = &graph;
    const std::vector<Tensor>* cells = &cells_;
    const runtime::TensorDescriptor* described = described_.data();
    RunArgs args;
    const auto all =
        Tensor::create({0, 0, memory_}, cell_bytes * most_cells, 0, {most_cells * 16}, runtime::DType::f32)
            .value();
    args.add_device(inout(all), memory_);
    args.add(runtime::scalar(where));
    if (object) {
      args.add(runtime::scalar(described));
    } else {
      args.add(runtime::scalar(cells));
    }
    troupe_run asked = args.run(0, object ? object_ : native_);
    asked.block_dim = 8;  // what an orchestration object gets
    const auto begin = std::chrono::steady_clock::now();
    const auto done = context_.run(asked).value();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (done.chip_tasks != graph.tasks.size()) {
      std::fprintf(stderr, "bench_objects: %s ran %llu of %zu tasks\n", graph.name,
                   static_cast<unsigned long long>(done.chip_tasks), graph.tasks.size());
      std::exit(1);
    }
    return seconds;
  }

 private:
  std::uint64_t add_bytes(const char* name, const char* file) {
    std::ifstream input(file, std::ios::binary);
    const std::vector<char> bytes{std::istreambuf_iterator<char>(input), {}};
    troupe_callable callable{};
    callable.name = name;
    callable.bytes = bytes.data();
    callable.byte_count = bytes.size();
    callable.core_kind = TROUPE_CORE_AIV;
    return context_.register_callable(callable).value();
  }

  DeviceContext context_;
  std::uint64_t native_ = 0, object_ = 0, memory_ = 0;
  std::vector<Tensor> cells_;
  std::vector<runtime::TensorDescriptor> described_;
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  const int runs = argc > 1 ? std::atoi(argv[1]) : 7;
  // A scope of the other system takes 16383 tasks.
  const auto count = static_cast<std::uint32_t>(argc > 2 ? std::atoi(argv[2]) : 16'000);
  Chip chip;
  const std::vector<Graph> graphs{bench::independent(count), bench::chain(count), bench::stencil(count),
                                  bench::random(count), bench::tree(count)};
  for (const auto& graph : graphs) {
    chip.run(false, graph);
    chip.run(true, graph);
  }
  std::printf("ns per task, an empty foreign kernel, %u tasks, median of %d\n\n", count, runs);
  std::printf("| graph | chip program | orchestration object | ratio |\n|---|---|---|---|\n");
  for (const auto& graph : graphs) {
    std::vector<double> native, object;
    for (int run = 0; run < runs; ++run) {
      native.push_back(chip.run(false, graph));
      object.push_back(chip.run(true, graph));
    }
    const double per_task = 1e9 / static_cast<double>(graph.tasks.size());
    std::printf("| %s | %.0f | %.0f | %.2f |\n", graph.name, median(native) * per_task,
                median(object) * per_task, median(object) / median(native));
    std::fflush(stdout);
  }
}

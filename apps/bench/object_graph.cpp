// The graphs of the on-chip benchmark as an orchestration of another system. Scalars: the graph, the tensors.
#include "chip/graphs.hpp"
#include "support/orchestration_object.hpp"

using troupe::bench::Graph;

extern "C" OBJECT_EXPORT void aicpu_orchestration_entry(const ChipArguments& run) {
  const auto& graph = *run.scalar_as<const Graph*>(0);
  const auto* cells = run.scalar_as<const object::Tensor*>(1);
  for (const auto& task : graph.tasks) {
    TaskArguments arguments;
    for (std::uint32_t i = 0; i < task.read_count; ++i) arguments.in(cells[task.reads[i]]);
    if (task.updates) {
      arguments.inout(cells[task.write]);
    } else {
      arguments.out(cells[task.write]);
    }
    arguments.scalar(std::uint64_t{0});
    object::aiv(0, arguments);
  }
}

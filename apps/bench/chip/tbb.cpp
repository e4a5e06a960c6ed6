#include <oneapi/tbb/flow_graph.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <chrono>
#include <deque>

#include "chip/graphs.hpp"

// A flow graph of continue nodes, built and run: TBB infers nothing, so the edges are found here, from the
// last writer and the readers since. The arena's other thread is awake before the clock starts.
namespace troupe::bench {

double run_tbb(const Graph& graph, std::uint64_t ns) {
  namespace flow = oneapi::tbb::flow;
  using Node = flow::continue_node<flow::continue_msg>;
  double seconds = 0;
  oneapi::tbb::task_arena arena(2);
  arena.execute([&] {
    oneapi::tbb::parallel_for(0, 16, [](int) { work_for(20'000); });
    const auto begin = std::chrono::steady_clock::now();
    flow::graph g;
    flow::broadcast_node<flow::continue_msg> start(g);
    std::deque<Node> nodes;
    std::vector<Node*> writer(graph.cells, nullptr);
    std::vector<std::vector<Node*>> readers(graph.cells);
    for (const auto& task : graph.tasks) {
      Node& node = nodes.emplace_back(g, [ns](const flow::continue_msg&) { work_for(ns); });
      bool waits = false;
      const auto after = [&](Node* producer) {
        if (producer == nullptr || producer == &node) return;
        flow::make_edge(*producer, node);
        waits = true;
      };
      for (std::uint32_t k = 0; k < task.read_count; ++k) {
        after(writer[task.reads[k]]);
        readers[task.reads[k]].push_back(&node);
      }
      after(writer[task.write]);
      for (Node* reader : readers[task.write]) after(reader);
      readers[task.write].clear();
      writer[task.write] = &node;
      if (!waits) flow::make_edge(start, node);
    }
    start.try_put({});
    g.wait_for_all();
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  });
  return seconds;
}

}  // namespace troupe::bench

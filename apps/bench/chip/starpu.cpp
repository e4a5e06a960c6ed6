#include <starpu.h>

#include <chrono>
#include <cstdlib>

#include "chip/graphs.hpp"

// Sequential task flow over registered handles, with the schedulers that do best here.
namespace troupe::bench {

namespace {
void body(void**, void* argument) { work_for(*static_cast<std::uint64_t*>(argument)); }

double run_starpu(const char* scheduler, const Graph& graph, std::uint64_t ns) {
  starpu_conf conf;
  starpu_conf_init(&conf);
  conf.sched_policy_name = scheduler;
  conf.ncpus = 2;
  conf.ncuda = conf.nopencl = 0;
  if (starpu_init(&conf) != 0) return -1;
  starpu_codelet codelet{};
  codelet.cpu_funcs[0] = &body;
  codelet.nbuffers = STARPU_VARIABLE_NBUFFERS;
  std::vector<std::uint64_t> cells(graph.cells);
  std::vector<starpu_data_handle_t> handles(graph.cells);
  for (std::uint32_t i = 0; i < graph.cells; ++i) {
    starpu_variable_data_register(&handles[i], STARPU_MAIN_RAM, reinterpret_cast<std::uintptr_t>(&cells[i]),
                                  8);
  }
  const auto begin = std::chrono::steady_clock::now();
  for (const auto& access : graph.tasks) {
    starpu_task* task = starpu_task_create();
    task->cl = &codelet;
    task->cl_arg = &ns;
    task->cl_arg_size = sizeof ns;
    std::uint32_t buffers = 0;
    for (std::uint32_t k = 0; k < access.read_count; ++k) {
      // A handle twice in one task is not allowed.
      bool again = access.reads[k] == access.write;
      for (std::uint32_t before = 0; before < k; ++before)
        again = again || access.reads[before] == access.reads[k];
      if (again) continue;
      task->handles[buffers] = handles[access.reads[k]];
      task->modes[buffers++] = STARPU_R;
    }
    task->handles[buffers] = handles[access.write];
    task->modes[buffers++] = access.updates || access.read_count == 0 ? STARPU_RW : STARPU_W;
    task->nbuffers = static_cast<int>(buffers);
    if (starpu_task_submit(task) != 0) return -1;
  }
  starpu_task_wait_for_all();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  for (auto handle : handles) starpu_data_unregister(handle);
  starpu_shutdown();
  return seconds;
}

}  // namespace

double run_starpu_lws(const Graph& graph, std::uint64_t ns) { return run_starpu("lws", graph, ns); }
double run_starpu_eager(const Graph& graph, std::uint64_t ns) { return run_starpu("eager", graph, ns); }

}  // namespace troupe::bench

#include <omp.h>

#include <chrono>

#include "chip/graphs.hpp"

// Tasks with depend clauses; a taskwait every 2048 tasks, without which libgomp is quadratic. The program has
// OMP_WAIT_POLICY=active, so the threads are there before the clock starts, and are let go afterwards: they
// would spin for ever.
namespace troupe::bench {

double run_openmp(const Graph& graph, std::uint64_t ns) {
  std::vector<char> cells(graph.cells);
  char* c = cells.data();
#pragma omp parallel num_threads(2)
  { work_for(1000); }
  const auto begin = std::chrono::steady_clock::now();
#pragma omp parallel num_threads(2)
#pragma omp single
  {
    std::uint32_t since = 0;
    for (const auto& task : graph.tasks) {
      const auto& r = task.reads;
      const std::uint32_t w = task.write;
      switch (task.read_count) {
        case 0:
#pragma omp task depend(inout : c[w]) firstprivate(ns)
          work_for(ns);
          break;
        case 1:
#pragma omp task depend(in : c[r[0]]) depend(inout : c[w]) firstprivate(ns)
          work_for(ns);
          break;
        case 2:
#pragma omp task depend(in : c[r[0]], c[r[1]]) depend(inout : c[w]) firstprivate(ns)
          work_for(ns);
          break;
        case 3:
#pragma omp task depend(in : c[r[0]], c[r[1]], c[r[2]]) depend(inout : c[w]) firstprivate(ns)
          work_for(ns);
          break;
        case 4:
#pragma omp task depend(in : c[r[0]], c[r[1]], c[r[2]], c[r[3]]) depend(inout : c[w]) firstprivate(ns)
          work_for(ns);
          break;
        default:
#pragma omp task depend(in                                                          \
                        : c[r[0]], c[r[1]], c[r[2]], c[r[3]], c[r[4]]) depend(inout \
                                                                              : c[w]) firstprivate(ns)
          work_for(ns);
          break;
      }
      if (++since % 2048 == 0) {
#pragma omp taskwait
      }
    }
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  omp_pause_resource_all(omp_pause_hard);
  return seconds;
}

}  // namespace troupe::bench

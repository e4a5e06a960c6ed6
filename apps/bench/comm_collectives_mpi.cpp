// The peer of comm_collectives.cpp: the same all_reduce with MPI. Run by it, through mpirun.
#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "collectives_plan.hpp"

namespace {

using troupe::bench::plan;

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void measure(std::uint32_t rank, std::uint32_t ranks, std::size_t bytes, std::vector<float>& in,
             std::vector<float>& out) {
  const std::size_t count = bytes / sizeof(float);
  const auto call = [&] {
    MPI_Allreduce(in.data(), out.data(), static_cast<int>(count), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
  };
  for (std::size_t i = 0; i < count; ++i) in[i] = troupe::bench::input_value(rank, i);
  call();
  for (std::size_t i = 0; i < count; ++i) {
    if (out[i] != troupe::bench::expected_value(ranks, i)) std::abort();
  }
  std::fill_n(in.begin(), count, 0.0f);
  std::vector<double> times;
  for (int sample = 0; sample < plan(bytes).samples; ++sample) {
    MPI_Barrier(MPI_COMM_WORLD);
    const double start = MPI_Wtime();
    for (int i = 0; i < plan(bytes).batch; ++i) call();
    times.push_back((MPI_Wtime() - start) / plan(bytes).batch);
  }
  if (rank == 0) std::printf("mpi_%u_%zu %.6g\n", ranks, bytes, median(times));
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  const std::size_t largest = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : std::size_t{1} << 20;
  std::vector<float> in(largest / sizeof(float)), out(largest / sizeof(float));
  for (const std::size_t bytes : troupe::bench::sizes_up_to(largest)) {
    measure(static_cast<std::uint32_t>(rank), static_cast<std::uint32_t>(ranks), bytes, in, out);
  }
  MPI_Finalize();
  return 0;
}

// The peer of comm_windows.cpp: the same measurements with MPI. Run by it, through mpirun.
#include <mpi.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <vector>

namespace {

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void measure_barrier(int rank, int ranks) {
  constexpr int batch = 10'000, samples = 11;
  std::vector<double> times;
  for (int sample = 0; sample < samples; ++sample) {
    const double start = MPI_Wtime();
    for (int i = 0; i < batch; ++i) MPI_Barrier(MPI_COMM_WORLD);
    times.push_back((MPI_Wtime() - start) / batch);
  }
  if (rank == 0) std::printf("barrier_%d %.6g\n", ranks, median(times));
}

void measure_put(int rank, int size) {
  const int batch = size <= 64 ? 100'000 : size <= (1 << 20) ? 20 : 1;
  const int samples = size <= 64 ? 20 : size <= (1 << 20) ? 40 : 7;
  char* window_base = nullptr;
  MPI_Win window;
  MPI_Win_allocate(size, 1, MPI_INFO_NULL, MPI_COMM_WORLD, &window_base, &window);
  std::memset(window_base, 0, static_cast<std::size_t>(size));
  MPI_Win_lock_all(0, window);
  MPI_Barrier(MPI_COMM_WORLD);
  if (rank == 0) {
    const std::vector<char> source(static_cast<std::size_t>(size), 3);
    const auto put = [&] {
      MPI_Put(source.data(), size, MPI_BYTE, 1, 0, size, MPI_BYTE, window);
      MPI_Win_flush(1, window);
    };
    put();
    std::vector<double> times;
    for (int sample = 0; sample < samples; ++sample) {
      const double start = MPI_Wtime();
      for (int i = 0; i < batch; ++i) put();
      times.push_back((MPI_Wtime() - start) / batch);
    }
    std::printf("put_%d %.6g\n", size, median(times));
  }
  MPI_Barrier(MPI_COMM_WORLD);
  MPI_Win_unlock_all(window);
  MPI_Win_free(&window);
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int rank = 0, ranks = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (argc > 1 && std::strcmp(argv[1], "barrier") == 0)
    measure_barrier(rank, ranks);
  else
    for (const int size : {8, 1 << 20, 256 << 20}) measure_put(rank, size);
  MPI_Finalize();
  return 0;
}

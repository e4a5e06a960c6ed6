// all_reduce of floats between processes, with the data in the windows and staged from private memory, beside
// OpenMPI in the same run, and beside what two threads of this machine can add and copy at all.
//
//   bench_comm_collectives [runs] [largest MiB]                       the table, in about three minutes
//   bench_comm_collectives rank <r> <n> <meeting> <largest bytes>     one rank of ours (started by the table)
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "collectives_plan.hpp"
#include "peer_processes.hpp"
#include "troupe/comm/collectives.hpp"
#include "troupe/comm/communicator.hpp"

namespace {

using namespace troupe;
using bench::plan;
using bench::Samples;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void fail(const char* what, std::size_t bytes) {
  std::fprintf(stderr, "%s: wrong answer at %zu bytes\n", what, bytes);
  std::exit(1);
}

/// Checks one call, then times many. `data` holds what the call reduces in place, or `out` is where it goes.
template <class Call>
void measure(comm::Communicator& comm, const char* what, std::size_t bytes, float* in, float* out,
             const Call& call) {
  const std::size_t count = bytes / sizeof(float);
  for (std::size_t i = 0; i < count; ++i) in[i] = bench::input_value(comm.rank(), i);
  call();
  for (std::size_t i = 0; i < count; ++i)
    if (out[i] != bench::expected_value(comm.ranks(), i)) fail(what, bytes);
  comm.barrier().value();
  std::memset(in, 0, bytes);  // sums of sums would overflow
  std::vector<double> times;
  for (int sample = 0; sample < plan(bytes).samples; ++sample) {
    comm.barrier().value();
    const auto start = Clock::now();
    for (int i = 0; i < plan(bytes).batch; ++i) call();
    times.push_back(seconds_since(start) / plan(bytes).batch);
  }
  if (comm.rank() == 0) std::printf("%s_%u_%zu %.6g\n", what, comm.ranks(), bytes, bench::median(times));
}

int be_rank(char** arguments) {
  const auto rank = static_cast<std::uint32_t>(std::atoi(arguments[0]));
  const auto ranks = static_cast<std::uint32_t>(std::atoi(arguments[1]));
  const std::size_t largest = std::strtoull(arguments[3], nullptr, 10);
  const comm::CollectiveWorkspace workspace{};
  auto comm = comm::Communicator::init(rank, ranks, arguments[2], {.timeout = bench::rank_patience}).value();
  comm.alloc_windows(workspace.bytes + largest).value();
  auto collectives =
      comm::Collectives::over(comm.domain(), workspace, {.timeout = bench::rank_patience}).value();
  auto* window = reinterpret_cast<float*>(comm.local_window_base() + workspace.bytes);
  std::vector<float> in(largest / sizeof(float)), out(largest / sizeof(float));
  for (const std::size_t bytes : bench::sizes_up_to(largest)) {
    const std::size_t count = bytes / sizeof(float);
    measure(comm, "window", bytes, window, window,
            [&] { collectives.all_reduce(window, window, count, runtime::DType::f32).value(); });
    measure(comm, "staged", bytes, in.data(), out.data(),
            [&] { collectives.all_reduce(in.data(), out.data(), count, runtime::DType::f32).value(); });
  }
  comm.destroy().value();
  return 0;
}

// ---- what the machine can do ----------------------------------------------------------------------------

#if defined(__clang__)
#define TROUPE_BENCH_WIDE  // knows neither attribute; only looked at, never measured
#elif defined(__x86_64__)
#define TROUPE_BENCH_WIDE __attribute__((target("avx2"), optimize("O3")))
#else
#define TROUPE_BENCH_WIDE __attribute__((optimize("O3")))
#endif

/// Sums `n` arrays into all of them, the plain way.
template <int n>
TROUPE_BENCH_WIDE void add_into_all(float* const* arrays, std::size_t count) {
  constexpr std::size_t width = 8;
  typedef float Wide __attribute__((vector_size(width * sizeof(float)), aligned(4), may_alias));
  float* a[n];
  for (int r = 0; r < n; ++r) a[r] = arrays[r];
  for (std::size_t i = 0; i + width <= count; i += width) {
    Wide sum = *reinterpret_cast<const Wide*>(a[0] + i);
#pragma GCC unroll 4
    for (int r = 1; r < n; ++r) sum += *reinterpret_cast<const Wide*>(a[r] + i);
#pragma GCC unroll 4
    for (int r = 0; r < n; ++r) *reinterpret_cast<Wide*>(a[r] + i) = sum;
  }
}

/// Runs `work(thread)` on two threads that start together; seconds per call.
template <class Work>
double two_threads(int batch, const Work& work) {
  std::atomic<int> ready{0};
  double slowest[2] = {};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      work(t);
      ready.fetch_add(1);
      // Looks instead of sleeping: a wake-up (tens of µs) would start one thread late, in the middle of what
      // the other measures. It ends, because the other thread has nothing to wait for, and yields to it.
      while (ready.load() != 2) std::this_thread::yield();
      const auto start = Clock::now();
      for (int i = 0; i < batch; ++i) work(t);
      slowest[t] = seconds_since(start) / batch;
    });
  }
  for (std::thread& thread : threads) thread.join();
  return std::max(slowest[0], slowest[1]);
}

void measure_limits(std::size_t largest, Samples& samples) {
  std::vector<std::vector<float>> arrays(4, std::vector<float>(largest / sizeof(float)));
  for (const std::size_t bytes : bench::sizes_up_to(largest)) {
    const std::size_t half = bytes / sizeof(float) / 2;
    const auto add = [&]<int n>() {
      std::vector<double> times;
      for (int sample = 0; sample < plan(bytes).samples; ++sample) {
        times.push_back(two_threads(plan(bytes).batch, [&](int t) {
          float* at[n];
          for (int r = 0; r < n; ++r)
            at[r] = arrays[static_cast<std::size_t>(r)].data() + static_cast<std::size_t>(t) * half;
          add_into_all<n>(at, half);
        }));
      }
      samples["add_" + std::to_string(n) + "_" + std::to_string(bytes)].push_back(bench::median(times));
    };
    add.template operator()<2>();
    add.template operator()<4>();
    std::vector<double> times;
    for (int sample = 0; sample < plan(bytes).samples; ++sample) {
      times.push_back(two_threads(plan(bytes).batch, [&](int t) {
        const auto thread = static_cast<std::size_t>(t);
        std::memcpy(arrays[thread].data(), arrays[thread + 2].data(), bytes);
        asm volatile("" : : "r"(arrays[thread].data()) : "memory");
      }));
    }
    samples["memcpy_" + std::to_string(bytes)].push_back(bench::median(times));
  }
}

// ---- the table ------------------------------------------------------------------------------------------

bool run_ours(int ranks, int run, std::size_t largest, Samples& samples) {
  bench::Programs programs;
  const std::string meeting = "bench-collectives-" + std::to_string(::getpid()) + "-" + std::to_string(run);
  for (int rank = 0; rank < ranks; ++rank) {
    if (!programs.start({"/proc/self/exe", "rank", std::to_string(rank), std::to_string(ranks), meeting,
                         std::to_string(largest)}))
      return false;
  }
  return programs.finish(samples);
}

bool run_mpi([[maybe_unused]] int ranks, [[maybe_unused]] std::size_t largest,
             [[maybe_unused]] Samples& samples) {
#ifdef TROUPE_BENCH_MPI
  bench::Programs programs;
  return programs.start({"mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-np",
                         std::to_string(ranks), TROUPE_BENCH_MPI, std::to_string(largest)}) &&
         programs.finish(samples);
#else
  return false;
#endif
}

std::string size_name(std::size_t bytes) {
  return bytes >= (1 << 20) ? std::to_string(bytes >> 20) + " MiB" : std::to_string(bytes >> 10) + " KiB";
}

void print_ratio(double numerator, double denominator) {
  if (numerator == 0 || denominator == 0)
    std::printf(" %7s |", "–");
  else
    std::printf(" %5.2f |", numerator / denominator);
}

int table(bench::Runs runs, std::size_t largest) {
  Samples samples;
  bool have_mpi = true;
  while (runs.another()) {
    for (const int ranks : {2, 4}) {
      if (!run_ours(ranks, runs.number() * 10 + ranks, largest, samples)) return 1;
      have_mpi = have_mpi && run_mpi(ranks, largest, samples);
    }
    measure_limits(largest, samples);
  }
  if (!have_mpi)
    std::printf(
        "OpenMPI is not here (libopenmpi-dev when building, mpirun when running) or failed: skipped\n");
  std::printf("all_reduce, f32, sum; medians of %d runs, alternating; µs\n", runs.number());
  std::printf(
      "| ranks | size | in windows | limit | ÷ limit | staged | OpenMPI | OpenMPI ÷ in windows | "
      "OpenMPI ÷ staged | memcpy, 2 threads |\n|---|---|---|---|---|---|---|---|---|---|\n");
  for (const int ranks : {2, 4}) {
    for (const std::size_t bytes : bench::sizes_up_to(largest)) {
      const std::string key = "_" + std::to_string(ranks) + "_" + std::to_string(bytes);
      const double window = bench::median(samples["window" + key]) * 1e6;
      const double staged = bench::median(samples["staged" + key]) * 1e6;
      const double mpi = bench::median(samples["mpi" + key]) * 1e6;
      const double limit = bench::median(samples["add" + key]) * 1e6;
      std::printf("| %d | %s | %.2f | %.2f |", ranks, size_name(bytes).c_str(), window, limit);
      print_ratio(window, limit);
      std::printf(" %.2f | %.2f |", staged, mpi);
      print_ratio(mpi, window);
      print_ratio(mpi, staged);
      std::printf(" %.1f GB/s |\n", 2e-9 * static_cast<double>(bytes) /
                                        bench::median(samples["memcpy_" + std::to_string(bytes)]));
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 6 && std::strcmp(argv[1], "rank") == 0) return be_rank(argv + 2);
    const std::size_t largest = argc > 2 ? std::strtoull(argv[2], nullptr, 10) << 20 : std::size_t{256} << 20;
    return table(bench::Runs(argc > 1 ? std::atoi(argv[1]) : 0), largest);
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", render(error).c_str());
    return 1;
  }
}

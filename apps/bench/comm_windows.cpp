// Barrier latency, put latency and put bandwidth between processes, beside OpenMPI and memcpy in the same
// run.
//
//   bench_comm_windows [runs]                          the table
//   bench_comm_windows rank <r> <n> <meeting> <what>   one rank of ours (started by the table)
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "peer_processes.hpp"
#include "troupe/comm/communicator.hpp"
#include "troupe/comm/errc.hpp"
#include "troupe/comm/one_sided.hpp"

namespace {

using namespace troupe;
using Clock = std::chrono::steady_clock;
using bench::Samples;

constexpr std::array<std::size_t, 3> put_sizes{8, 1 << 20, 256 << 20};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// How many operations between two looks at the clock, and how many such samples.
struct Plan {
  std::size_t batch, samples;
};
Plan plan(std::size_t size) {
  if (size <= 64) return {100'000, 20};
  return size <= (1 << 20) ? Plan{20, 40} : Plan{1, 7};
}

void measure_barrier(comm::Communicator& comm) {
  constexpr int batch = 10'000, samples = 11;
  std::vector<double> times;
  for (int sample = 0; sample < samples; ++sample) {
    const auto start = Clock::now();
    for (int i = 0; i < batch; ++i) comm.barrier().value();
    times.push_back(seconds_since(start) / batch);
  }
  if (comm.rank() == 0) std::printf("barrier_%u %.6g\n", comm.ranks(), bench::median(times));
}

/// Alternates puts and plain copies of the same size, so that both see the same machine.
void measure_put(comm::Communicator& comm, std::size_t size) {
  if (comm.rank() == 0) {
    const std::vector<std::byte> source(size, std::byte{3});
    std::vector<std::byte> target(size, std::byte{1});
    const comm::OneSided windows(comm.domain());
    const auto timed = [&](std::size_t batch, const auto& operation) {
      const auto start = Clock::now();
      for (std::size_t i = 0; i < batch; ++i) operation();
      return seconds_since(start) / static_cast<double>(batch);
    };
    const auto put = [&] { windows.put(1, 0, source).value(); };
    const auto copy = [&] {
      std::memcpy(target.data(), source.data(), size);
      asm volatile("" : : "r"(target.data()) : "memory");
    };
    put();
    std::vector<double> puts, copies;
    for (std::size_t sample = 0; sample < plan(size).samples; ++sample) {
      puts.push_back(timed(plan(size).batch, put));
      copies.push_back(timed(plan(size).batch, copy));
    }
    std::printf("put_%zu %.6g\nmemcpy_%zu %.6g\n", size, bench::median(puts), size, bench::median(copies));
  }
  comm.barrier().value();
  // The benchmark checks its answer.
  if (comm.rank() == 1)
    for (const std::byte value : comm.domain().window(1).first(size))
      if (value != std::byte{3}) std::abort();
  comm.barrier().value();
}

/// Rank 1 writes down the time and kills itself; rank 0 waits for it in a barrier.
void measure_death(comm::Communicator& comm) {
  comm.barrier().value();
  if (comm.rank() == 1) {
    const auto now = Clock::now();
    std::memcpy(comm.domain().window(0).data(), &now, sizeof now);
    ::raise(SIGKILL);
  }
  const auto result = comm.barrier();
  const auto noticed = Clock::now();
  if (result || !(result.error() == comm::Errc::peer_lost)) std::abort();
  Clock::time_point died;
  std::memcpy(&died, comm.local_window_base(), sizeof died);
  std::printf("death %.6g\n", std::chrono::duration<double>(noticed - died).count());
}

int be_rank(char** arguments) {
  const auto rank = static_cast<std::uint32_t>(std::atoi(arguments[0]));
  const auto ranks = static_cast<std::uint32_t>(std::atoi(arguments[1]));
  auto comm = comm::Communicator::init(rank, ranks, arguments[2], {.timeout = bench::rank_patience}).value();
  const std::string what = arguments[3];
  if (what == "barrier") {
    comm.alloc_windows(64).value();
    measure_barrier(comm);
  } else if (what == "death") {
    comm.alloc_windows(64).value();
    measure_death(comm);
    return 0;
  } else {
    comm.alloc_windows(put_sizes.back()).value();
    for (const std::size_t size : put_sizes) measure_put(comm, size);
  }
  comm.destroy().value();
  return 0;
}

bool run_ours(int ranks, const std::string& what, int run, Samples& samples) {
  bench::Programs programs;
  const std::string meeting = "bench-" + std::to_string(::getpid()) + "-" + what + "-" + std::to_string(run);
  for (int rank = 0; rank < ranks; ++rank)
    if (!programs.start(
            {"/proc/self/exe", "rank", std::to_string(rank), std::to_string(ranks), meeting, what}))
      return false;
  return programs.finish(samples, what == "death");
}

bool run_mpi([[maybe_unused]] int ranks, [[maybe_unused]] const std::string& what,
             [[maybe_unused]] Samples& samples) {
#ifdef TROUPE_BENCH_MPI
  bench::Programs programs;
  return programs.start({"mpirun", "--allow-run-as-root", "--oversubscribe", "--bind-to", "none", "-np",
                         std::to_string(ranks), TROUPE_BENCH_MPI, what}) &&
         programs.finish(samples);
#else
  return false;
#endif
}

void print_row(const char* name, const std::vector<double>& ours, const std::vector<double>& peer,
               const std::vector<double>& limit, double scale, const char* unit) {
  std::printf("| %-27s | %10.3f |", name, bench::median(ours) * scale);
  if (peer.empty())
    std::printf("          – |");
  else
    std::printf(" %10.3f |", bench::median(peer) * scale);
  if (limit.empty())
    std::printf("          – |     – |");
  else
    std::printf(" %10.3f | %5.2f |", bench::median(limit) * scale,
                bench::median(limit) / bench::median(ours));
  std::printf(" %s\n", unit);
}

int table(bench::Runs runs) {
  Samples ours, mpi;
  bool have_mpi = true;
  while (runs.another()) {
    const int run = runs.number();
    for (const int ranks : {2, 4}) {
      if (!run_ours(ranks, "barrier", run, ours)) return 1;
      have_mpi = have_mpi && run_mpi(ranks, "barrier", mpi);
    }
    if (!run_ours(2, "put", run, ours)) return 1;
    have_mpi = have_mpi && run_mpi(2, "put", mpi);
    if (!run_ours(2, "death", run, ours)) return 1;
  }
  if (!have_mpi)
    std::printf(
        "OpenMPI is not here (libopenmpi-dev when building, mpirun when running) or failed: skipped\n");
  std::printf("medians of %d runs, alternating\n", runs.number());
  std::printf(
      "| what                        |       ours |    OpenMPI |     memcpy | memcpy time / ours |\n");
  print_row("barrier, 2 ranks", ours["barrier_2"], mpi["barrier_2"], {}, 1e6, "µs");
  print_row("barrier, 4 ranks", ours["barrier_4"], mpi["barrier_4"], {}, 1e6, "µs");
  for (const std::size_t size : put_sizes) {
    const std::string tag = std::to_string(size);
    print_row(("put " + tag + " B").c_str(), ours["put_" + tag], mpi["put_" + tag], ours["memcpy_" + tag],
              1e6, "µs");
  }
  print_row("kill -9 noticed by a waiter", ours["death"], {}, {}, 1e6, "µs");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 6 && std::strcmp(argv[1], "rank") == 0) return be_rank(argv + 2);
    return table(bench::Runs(argc > 1 ? std::atoi(argv[1]) : 0));
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", render(error).c_str());
    return 1;
  }
}

// What one task costs on a simulated chip, and how small a task may be, beside OpenMP, TBB and StarPU.
//   bench_chip [--rounds N] [--tasks N] [--what graphs,metg,kept,idle] [--graphs NAME,…] [--kernels NS,…]
//              [--systems troupe,openmp,tbb,starpu-lws,starpu-eager] [--json FILE]
// metg: the smallest kernel at which two threads keep half of their peak; kept: how much they keep at each
// size. All systems get the same graphs and two threads, and take turns within one process; medians. Every
// run is checked: each task of ours is counted. The ratio is to the best of OpenMP and TBB. StarPU's workers
// spin as long as it is there: with a real-time priority they would starve the thread that feeds them.
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "chip/graphs.hpp"
#include "chip/report.hpp"
#include "chip/simulated.hpp"

using namespace troupe;
using bench::Graph;
using bench::Report;
using bench::Row;
using bench::SimulatedChip;

namespace {

struct Options {
  int rounds = 15;
  std::uint32_t tasks = 100'000;
  std::vector<std::string> what{"graphs", "metg", "idle"};
  std::vector<std::string> graphs;  ///< empty: all
  std::vector<std::uint64_t> kernels{0, 1'000, 2'000, 10'000, 50'000};
  std::vector<std::string> systems;  ///< empty: all
  std::string json;

  bool does(const std::string& part) const { return has(what, part); }
  static bool has(const std::vector<std::string>& list, const std::string& item) {
    return std::find(list.begin(), list.end(), item) != list.end();
  }
};

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> items;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    if (end != at) items.push_back(list.substr(at, end - at));
    at = end + 1;
  }
  return items;
}

/// False: something that it does not understand.
bool read(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 == argc) return false;
    const std::string value = argv[i + 1];
    if (name == "--rounds") {
      options.rounds = std::atoi(value.c_str());
    } else if (name == "--tasks") {
      options.tasks = static_cast<std::uint32_t>(std::atoi(value.c_str()));
    } else if (name == "--what") {
      options.what = split(value);
    } else if (name == "--graphs") {
      options.graphs = split(value);
    } else if (name == "--kernels") {
      options.kernels.clear();
      for (const auto& item : split(value))
        options.kernels.push_back(std::strtoull(item.c_str(), nullptr, 10));
    } else if (name == "--systems") {
      options.systems = split(value);
    } else if (name == "--json") {
      options.json = value;
    } else {
      return false;
    }
  }
  return options.rounds > 0 && options.tasks > 0;
}

struct System {
  std::string name;
  std::function<double(const Graph&, std::uint64_t)> run;
  bool compared;  ///< our ratio is to the best of these
};

std::vector<System> systems(SimulatedChip& chip, const Options& options) {
  std::vector<System> all;
#ifdef TROUPE_BENCH_OPENMP
  all.push_back({"openmp", bench::run_openmp, true});
#endif
#ifdef TROUPE_BENCH_TBB
  all.push_back({"tbb", bench::run_tbb, true});
#endif
#ifdef TROUPE_BENCH_STARPU
  all.push_back({"starpu-lws", bench::run_starpu_lws, false});
  all.push_back({"starpu-eager", bench::run_starpu_eager, false});
#endif
  if (!options.systems.empty())
    std::erase_if(all, [&](const System& system) { return !Options::has(options.systems, system.name); });
  const auto ours = [&chip](const Graph& graph, std::uint64_t ns) { return chip.run(graph, ns); };
  all.insert(all.begin(), {"troupe", ours, false});
  return all;
}

/// Every system in its turn, the first one another each time.
void take_turns(const std::vector<System>& all, int rounds, const std::function<void(std::size_t)>& run) {
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < all.size(); ++i) run((i + static_cast<std::size_t>(round)) % all.size());
  }
}

Row compare(const std::vector<System>& all, const Graph& graph, std::uint64_t ns, int rounds) {
  char size[32];
  std::snprintf(size, sizeof size, ", %g us", static_cast<double>(ns) * 1e-3);
  Row row{graph.name + std::string(ns == 0 ? ", empty" : size), ns, {}};
  row.systems.resize(all.size());
  for (const auto& system : all) system.run(graph, ns);  // the first touch of everything
  take_turns(all, rounds, [&](std::size_t i) {
    row.systems[i].runs.push_back(all[i].run(graph, ns) * 1e9 / static_cast<double>(graph.tasks.size()));
  });
  return row;
}

void compare_graphs(const std::vector<System>& all, const Options& options, Report& report) {
  using Make = Graph (*)(std::uint32_t, bool);
  struct Named {
    const char* name;
    Make make;
  };
  const Named graphs[] = {
      {"independent", [](std::uint32_t count, bool) { return bench::independent(count); }},
      {"chain", [](std::uint32_t count, bool) { return bench::chain(count); }},
      {"stencil", [](std::uint32_t count, bool empty) { return bench::stencil(count, empty ? 1024 : 64); }},
      {"random", [](std::uint32_t count, bool) { return bench::random(count); }},
      {"tree", [](std::uint32_t count, bool) { return bench::tree(count); }},
  };
  for (const std::uint64_t ns : options.kernels) {
    const auto fewer = ns == 0 ? options.tasks : static_cast<std::uint32_t>(40'000'000 / ns);
    for (const auto& [name, make] : graphs) {
      if (!options.graphs.empty() && !Options::has(options.graphs, name)) continue;
      report.add(
          compare(all, make(std::max(std::min(options.tasks, fewer), 1u), ns == 0), ns, options.rounds));
    }
  }
}

const char* const patterns[] = {"trivial", "stencil_1d", "fft", "nearest"};

// Fewer tasks of longer kernels; a window of time must hold all of it.
Graph pattern_for(std::uint32_t kind, double ns) {
  constexpr std::uint32_t width = 4;
  const auto steps = static_cast<std::uint32_t>(std::clamp(4e6 / ns, 100.0, 2000.0));
  return bench::pattern(patterns[kind], kind, width, steps);
}

// The part of two threads' peak that is kept with tasks of this length, of each system that `looks`.
std::vector<double> efficiencies(const std::vector<System>& all, const std::vector<bool>& looks,
                                 std::uint32_t kind, std::uint64_t ns, int rounds) {
  const Graph graph = pattern_for(kind, static_cast<double>(ns));
  std::vector<bench::Sample> times(all.size());
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (looks[i]) all[i].run(graph, ns);
  }
  take_turns(all, rounds, [&](std::size_t i) {
    if (looks[i]) times[i].runs.push_back(all[i].run(graph, ns));
  });
  std::vector<double> kept;
  for (const auto& time : times) {
    const double peak = static_cast<double>(graph.tasks.size()) * static_cast<double>(ns) * 1e-9 / 2;
    kept.push_back(time.runs.empty() ? 0 : peak / time.median());
  }
  return kept;
}

// The smallest task at which two threads keep half of their peak, in steps of 1.25. One size below half may
// be the machine's doing; two in a row are not.
void find_metg(const std::vector<System>& all, const Options& options, Report& report) {
  for (std::uint32_t kind = 0; kind < 4; ++kind) {
    if (!options.graphs.empty() && !Options::has(options.graphs, patterns[kind])) continue;
    std::vector<double> smallest(all.size(), 0);
    std::vector<int> misses(all.size(), 0);
    std::vector<bool> looks(all.size(), true);
    for (double ns = 32'000; ns > 100; ns /= 1.25) {
      const auto kept = efficiencies(all, looks, kind, static_cast<std::uint64_t>(ns), options.rounds);
      for (std::size_t i = 0; i < all.size(); ++i) {
        if (!looks[i]) continue;
        misses[i] = kept[i] < 0.5 ? misses[i] + 1 : 0;
        if (misses[i] == 0) smallest[i] = ns * 1e-3;
        looks[i] = misses[i] < 2;
      }
    }
    Row row{patterns[kind], 0, {}};
    for (const double size : smallest) row.systems.push_back({{size}});
    report.add_metg(std::move(row));
  }
}

void print_kept(const std::vector<System>& all, const Options& options) {
  std::printf("\n| kept of the peak | 0.5 us | 1 | 2 | 4 | 8 |\n|---|---|---|---|---|---|\n");
  for (std::uint32_t kind = 0; kind < 4; ++kind) {
    if (!options.graphs.empty() && !Options::has(options.graphs, patterns[kind])) continue;
    std::vector<std::string> lines;
    for (const auto& system : all)
      lines.push_back("| " + std::string(patterns[kind]) + ", " + system.name + " |");
    for (std::uint64_t ns = 500; ns <= 8'000; ns *= 2) {
      const auto kept = efficiencies(all, std::vector<bool>(all.size(), true), kind, ns, options.rounds);
      for (std::size_t i = 0; i < all.size(); ++i)
        lines[i] += " " + std::to_string(static_cast<int>(100 * kept[i] + 0.5)) + " % |";
    }
    for (const auto& line : lines) std::printf("%s\n", line.c_str());
  }
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// What chips cost while nobody asks for anything: the one place where sleeping is the point.
void measure_idle() {
  constexpr int count = 100;
  const Graph graph = bench::stencil(1000, 64);
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<SimulatedChip>> chips;
  for (int i = 0; i < count; ++i) chips.push_back(std::make_unique<SimulatedChip>());
  const double created = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  for (auto& chip : chips) chip->run(graph, 2'000);
  const double before = cpu_seconds();
  std::this_thread::sleep_for(std::chrono::seconds(2));  // in which nobody asks for anything
  const double idle = (cpu_seconds() - before) / 2;
  std::printf("\n%d chips: created in %.1f ms; idle after a run each, %.3f %% of one processor in all\n",
              count, created * 1e3, idle * 1e2);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!read(argc, argv, options)) {
    std::fprintf(
        stderr,
        "usage: bench_chip [--rounds N] [--tasks N] [--what graphs,metg,kept,idle] [--graphs NAME,...]\n"
        "                  [--kernels NS,...] [--systems NAME,...] [--json FILE]\n");
    return 2;
  }
  // OpenMP reads it before main: at its best, its threads do not sleep between two tasks.
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) {
    setenv("OMP_WAIT_POLICY", "active", 1);
    execv("/proc/self/exe", argv);
  }
  SimulatedChip chip;
  const auto all = systems(chip, options);
  std::vector<std::string> names;
  std::vector<bool> compared;
  for (const auto& system : all) {
    names.push_back(system.name);
    compared.push_back(system.compared);
  }
  Report report(names, compared);
  if (options.does("graphs")) compare_graphs(all, options, report);
  if (options.does("metg")) find_metg(all, options, report);
  report.print();
  if (options.does("kept")) print_kept(all, options);
  if (options.does("idle")) measure_idle();
  const std::string how = "medians of " + std::to_string(options.rounds) + " runs in turns, two threads";
  if (options.json.empty() || report.write(options.json, how)) return 0;
  std::fprintf(stderr, "bench_chip: cannot write %s\n", options.json.c_str());
  return 1;
}

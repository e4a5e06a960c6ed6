// What one task costs in the dependency engine: submit, ready, complete; nothing is executed. One thread.
//   bench_engine [runs]          table of medians, ns per task
//   bench_engine runs name       one graph only
// Every graph is checked: the numbers of tasks and of inferred waits are what the graph says.
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/runtime/task_args.hpp"
#include "troupe/runtime/task_graph.hpp"

namespace {

using namespace troupe::runtime;

constexpr std::uint32_t window = 1024;         // live tasks in the table
constexpr std::uint32_t large_window = 16384;  // live tasks in the long runs
constexpr std::uint64_t small_run = 100'000, large_run = 10'000'000;
constexpr std::uint64_t buffer_bytes = 4096;

// Distinct buffers, as addresses of a pretended host memory.
BufferRef buffer(std::uint64_t index) { return {1, 0, 0x10'0000 + index * buffer_bytes}; }
Access whole(std::uint64_t index, Tag tag) { return Access::whole(buffer(index), buffer_bytes, tag); }

// One graph: writes the accesses of task i, says how many.
using Maker = std::function<std::size_t(std::uint64_t, std::span<Access>)>;

// Time of this thread on a core: one thread, no waiting, and a busy machine takes cores away in between.
double now_ns() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

struct Measured {
  double ns = 0;
  std::uint64_t waited = 0;  // tasks that were not ready at submit
};

void fail(const char* what) {
  std::fprintf(stderr, "bench_engine: %s\n", what);
  std::exit(1);
}

template <class Make>
Measured drive(std::uint64_t tasks, Make make, std::uint32_t live = window) {
  TaskGraph graph({.task_window = live});
  std::array<Access, 8> accesses{};
  Measured result;
  const double start = now_ns();
  std::uint64_t ended = 0;
  const auto run = [&](std::uint64_t until_live, std::uint64_t submitted) {
    while (submitted - ended > until_live) {
      Work work = graph.pop_ready(0);
      if (!work) fail("nothing is ready");
      do {
        work = graph.complete_and_pop(work.id);
        ++ended;
      } while (work && submitted - ended > until_live);
      if (work) graph.requeue(work.id);
    }
  };
  for (std::uint64_t i = 0; i < tasks; ++i) {
    const std::size_t count = make(i, std::span<Access>(accesses));
    const auto id = graph.submit({.cookie = i, .accesses = std::span<const Access>(accesses).first(count)});
    if (!id) fail(id.error().what());
    if (graph.state(*id) == TaskState::pending) ++result.waited;
    if (i + 1 - ended == live) run(live / 2, i + 1);
  }
  run(0, tasks);
  const double took = now_ns() - start;
  if (graph.status().completed != tasks || graph.status().live != 0) fail("not every task ended");
  result.ns = took / static_cast<double>(tasks);
  return result;
}

std::uint64_t mix(std::uint64_t x) {
  x = (x ^ x >> 30U) * 0xBF58'476D'1CE4'E5B9ULL;
  x = (x ^ x >> 27U) * 0x94D0'49BB'1331'11EBULL;
  return x ^ x >> 31U;
}

// --- the graphs
// ----------------------------------------------------------------------------------------------

struct Independent {  // every task has a buffer of its own; the program reuses as many as are alive
  std::size_t operator()(std::uint64_t i, std::span<Access> a) const {
    a[0] = whole(i % window, Tag::out);
    return 1;
  }
};
struct Fresh {  // the same, and no buffer is ever seen again
  std::size_t operator()(std::uint64_t i, std::span<Access> a) const {
    a[0] = whole(i, Tag::out);
    return 1;
  }
};
struct Chain {
  std::size_t operator()(std::uint64_t, std::span<Access> a) const {
    a[0] = whole(0, Tag::inout);
    return 1;
  }
};
struct Stencil {  // 1-D, 1000 points, two buffers per point
  static constexpr std::uint64_t width = 1000;
  std::size_t operator()(std::uint64_t i, std::span<Access> a) const {
    const std::uint64_t step = i / width, x = i % width;
    const std::uint64_t from = step % 2 * width, to = (step + 1) % 2 * width;
    a[0] = whole(from + (x == 0 ? 0 : x - 1), Tag::in);
    a[1] = whole(from + x, Tag::in);
    a[2] = whole(from + std::min(x + 1, width - 1), Tag::in);
    a[3] = whole(to + x, Tag::out);
    return 4;
  }
};
struct RandomDag {  // five of the last thousand results, and one of its own
  static constexpr std::uint64_t pool = 2048;
  std::size_t operator()(std::uint64_t i, std::span<Access> a) const {
    for (std::uint64_t k = 0; k < 5; ++k)
      a[k] = whole((i + pool - 1 - mix(i * 5 + k) % 1000) % pool, Tag::in);
    a[5] = whole(i % pool, Tag::out);
    return 6;
  }
};
struct Tree {  // 1024 leaves reduced pairwise in place, again and again
  static constexpr std::uint64_t leaves = 1024;
  std::size_t operator()(std::uint64_t i, std::span<Access> a) const {
    // Task t of a round (1023 tasks): the first 512 join pairs at distance 1, the next 256 at distance 2, …
    std::uint64_t t = i % (leaves - 1), half = leaves / 2, distance = 1;
    while (t >= half) {
      t -= half;
      half /= 2;
      distance *= 2;
    }
    const std::uint64_t tree = i / (leaves - 1) % 4 * leaves;
    a[0] = whole(tree + t * 2 * distance, Tag::inout);
    a[1] = whole(tree + t * 2 * distance + distance, Tag::in);
    return 2;
  }
};

// The same graphs with tiles of one buffer of 100 x 100 tiles (64 x 64 floats) instead of whole buffers.
constexpr std::uint64_t side = 100, tile = 64, element = 4, row_bytes = side * tile * element;
constexpr std::uint64_t matrix_bytes = row_bytes * side * tile;

struct Tiles {
  std::vector<Box> boxes;
  Tiles() {
    for (std::uint64_t t = 0; t < side * side; ++t) {
      const std::array<std::uint32_t, 2> extents{tile, tile};
      const std::array<std::uint64_t, 2> strides{row_bytes, element};
      boxes.push_back(
          make_box(t / side * tile * row_bytes + t % side * tile * element, extents, strides, element));
    }
  }
  Access operator()(std::uint64_t t, Tag tag) const {
    return {{1, 0, 0x10'0000}, matrix_bytes, boxes[t].lo, boxes[t].hi, &boxes[t], tag};
  }
};

struct TilesIndependent {
  const Tiles& tiles;
  std::size_t operator()(std::uint64_t i, std::span<Access> a) const {
    a[0] = tiles(i % (side * side), Tag::inout);
    return 1;
  }
};
struct WholeIndependent {  // what TilesIndependent is compared with
  std::size_t operator()(std::uint64_t i, std::span<Access> a) const {
    a[0] = whole(i % (side * side), Tag::inout);
    return 1;
  }
};
struct TilesStencil {  // 5 points on a 100 x 50 grid, two halves as two buffers
  const Tiles* tiles;
  Access at(std::uint64_t t, Tag tag) const { return tiles != nullptr ? (*tiles)(t, tag) : whole(t, tag); }
  std::size_t operator()(std::uint64_t i, std::span<Access> a) const {
    constexpr std::uint64_t half = side * side / 2;
    const std::uint64_t step = i / half, p = i % half, from = step % 2 * half, to = half - from;
    a[0] = at(from + p, Tag::in);
    a[1] = at(from + (p % side == 0 ? p : p - 1), Tag::in);
    a[2] = at(from + (p % side == side - 1 ? p : p + 1), Tag::in);
    a[3] = at(from + (p < side ? p : p - side), Tag::in);
    a[4] = at(from + (p + side >= half ? p : p + side), Tag::in);
    a[5] = at(to + p, Tag::out);
    return 6;
  }
};

struct Line {
  const char* name;
  double goal;
  std::function<Measured()> run;
  std::uint64_t least_waits;  // how many tasks have to wait at submit, at least
};

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

std::uint64_t peak_kib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss);
}

// An intermediate per task: alloc, written here, read by the next one, freed when that is done.
Measured intermediates(std::uint64_t tasks) {
  TaskGraph graph({.arena_bytes = {64U << 20U, 0, 0, 0}, .task_window = window});
  Measured result;
  const double start = now_ns();
  BufferRef last = graph.alloc(buffer_bytes).value();
  (void)graph.submit({.accesses = std::array{Access::whole(last, buffer_bytes, Tag::out)}}).value();
  std::uint64_t live = 1;
  for (std::uint64_t i = 1; i < tasks; ++i) {
    const BufferRef next = graph.alloc(buffer_bytes).value();
    const std::array accesses{Access::whole(last, buffer_bytes, Tag::in),
                              Access::whole(next, buffer_bytes, Tag::out)};
    (void)graph.submit({.accesses = accesses}).value();
    graph.release(last);
    last = next;
    if (++live < 1024 && i + 1 < tasks) continue;
    for (Work work = graph.pop_ready(0); work; --live) work = graph.complete_and_pop(work.id);
  }
  const double took = now_ns() - start;
  if (graph.status().completed != tasks) fail("not every task ended");
  result.ns = took / static_cast<double>(tasks);
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t runs = argc > 1 ? std::max<std::size_t>(1, std::strtoull(argv[1], nullptr, 10)) : 9;
  const Tiles tiles;
  const char* only = argc > 2 ? argv[2] : "";
  std::vector<Line> lines{
      {"independent (distinct buffers)", 40, [] { return drive(small_run, Independent{}); }, 0},
      {"independent, every buffer new", 0, [] { return drive(small_run, Fresh{}); }, 0},
      {"chain", 60, [] { return drive(small_run, Chain{}); }, small_run - small_run / 1000},
      {"1-D stencil, 3 reads 1 write", 100, [] { return drive(small_run, Stencil{}); }, small_run / 8},
      {"random DAG, 5 reads 1 write", 150, [] { return drive(small_run, RandomDag{}); }, small_run / 2},
      {"tree reduction", 60, [] { return drive(small_run, Tree{}); }, small_run / 8},
      {"chain over intermediates", 0, [] { return intermediates(small_run); }, 0},
      {"10,000 live whole buffers, inout", 0,
       [] { return drive(small_run, WholeIndependent{}, large_window); }, 0},
      {"10,000 live tiles of one buffer, inout", 0,
       [&] { return drive(small_run, TilesIndependent{tiles}, large_window); }, 0},
      {"2-D stencil, 5 reads, whole buffers", 0,
       [] { return drive(small_run, TilesStencil{nullptr}, large_window); }, small_run / 2},
      {"2-D stencil, 5 reads, tiles of one", 0,
       [&] { return drive(small_run, TilesStencil{&tiles}, large_window); }, small_run / 2},
  };
  std::printf("engine: submit + ready + complete, one thread, window %u, %llu tasks, %zu runs; ns per task\n",
              window, static_cast<unsigned long long>(small_run), runs);
  std::vector<std::vector<double>> all(lines.size());
  if (only[0] != '\0') {  // one graph by the start of its name, for a profiler
    for (const Line& line : lines) {
      for (std::size_t r = 0; r < runs && std::string_view(line.name).starts_with(only); ++r) {
        std::printf("%s: %.1f\n", line.name, line.run().ns);
      }
    }
    return 0;
  }
  for (std::size_t r = 0; r < runs; ++r) {
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const Measured m = lines[i].run();
      if (m.waited < lines[i].least_waits)
        fail((std::string("dependencies are missing: ") + lines[i].name).c_str());
      all[i].push_back(m.ns);
    }
  }
  std::printf("| graph | median | min | max | goal |\n|---|---|---|---|---|\n");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto [low, high] = std::minmax_element(all[i].begin(), all[i].end());
    std::printf("| %s | %.1f | %.1f | %.1f | %s |\n", lines[i].name, median(all[i]), *low, *high,
                lines[i].goal > 0 ? std::to_string(static_cast<int>(lines[i].goal)).c_str() : "-");
  }
  const double tile_ratio = median(all[8]) / median(all[7]), stencil_ratio = median(all[10]) / median(all[9]);
  std::printf("tiles over whole buffers: %.2fx independent, %.2fx stencil (goal: 2x)\n", tile_ratio,
              stencil_ratio);

  // Long runs through a large window: the cost stays, and so does the memory.
  const auto longer = [&](const char* name, auto maker) {
    std::vector<double> shorts;
    for (int r = 0; r < 5; ++r) shorts.push_back(drive(small_run, maker, large_window).ns);
    const std::uint64_t before = peak_kib();
    const double ns = drive(large_run, maker, large_window).ns;
    std::printf(
        "10 million tasks, window %u, %s: %.1f ns per task, 100 k: %.1f, ratio %.2f; peak memory %+lld KiB\n",
        large_window, name, ns, median(shorts), ns / median(shorts),
        static_cast<long long>(peak_kib()) - static_cast<long long>(before));
  };
  longer("independent, every buffer new", Fresh{});
  longer("random DAG", RandomDag{});
  return 0;
}

#pragma once

#include <array>
#include <cstdint>
#include <random>
#include <vector>

// The graphs of the on-chip benchmark, the same for every system: task i reads some cells and writes one.
namespace troupe::bench {

struct Access {
  std::array<std::uint32_t, 6> reads{};
  std::uint32_t read_count = 0;
  std::uint32_t write = 0;
  bool updates = false;  ///< reads what it writes
};

struct Graph {
  const char* name;
  std::uint32_t cells = 0;
  std::vector<Access> tasks;
};

inline Graph independent(std::uint32_t count) {
  Graph graph{"independent", count, {}};
  for (std::uint32_t i = 0; i < count; ++i) graph.tasks.push_back({{}, 0, i, false});
  return graph;
}
inline Graph chain(std::uint32_t count) {
  Graph graph{"chain", 1, {}};
  graph.tasks.assign(count, {{}, 0, 0, true});
  return graph;
}
// Each step reads its cell and both neighbours of the step before.
inline Graph stencil(std::uint32_t count, std::uint32_t width = 1024) {
  Graph graph{"stencil, 3 reads", width * 2, {}};
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t column = i % width, step = i / width, from = (step + 1) % 2 * width;
    Access task;
    for (const std::uint32_t at : {(column + width - 1) % width, column, (column + 1) % width}) {
      task.reads[task.read_count++] = from + at;
    }
    task.write = step % 2 * width + column;
    graph.tasks.push_back(task);
  }
  return graph;
}
inline Graph random(std::uint32_t count, std::uint32_t cells = 4096) {
  Graph graph{"random DAG, 5 reads", cells, {}};
  std::mt19937 numbers(1);
  for (std::uint32_t i = 0; i < count; ++i) {
    Access task;
    for (int k = 0; k < 5; ++k) task.reads[task.read_count++] = static_cast<std::uint32_t>(numbers() % cells);
    task.write = static_cast<std::uint32_t>(numbers() % cells);
    graph.tasks.push_back(task);
  }
  return graph;
}
// A binary reduction: cell i takes in its partner.
inline Graph tree(std::uint32_t count) {
  Graph graph{"tree", count + 1, {}};
  for (std::uint32_t stride = 1; stride < count + 1; stride *= 2) {
    for (std::uint32_t i = 0; i + stride < count + 1; i += 2 * stride) {
      graph.tasks.push_back({{i + stride}, 1, i, true});
    }
  }
  return graph;
}

// Task Bench's patterns: `width` tasks per step, each writes its cell of the step.
inline Graph pattern(const char* name, std::uint32_t kind, std::uint32_t width, std::uint32_t steps) {
  Graph graph{name, width * 2, {}};
  std::uint32_t log = 0;
  while ((1u << (log + 1)) <= width) ++log;
  for (std::uint32_t step = 0; step < steps; ++step) {
    const std::uint32_t from = (step + 1) % 2 * width;
    for (std::uint32_t i = 0; i < width; ++i) {
      Access task;
      const auto read = [&](std::uint32_t at) { task.reads[task.read_count++] = from + at; };
      if (kind == 1 || kind == 3) {  // stencil_1d, nearest: open ends
        const std::uint32_t radius = kind == 1 ? 1 : 2;
        for (std::uint32_t at = i < radius ? 0 : i - radius; at <= i + radius && at < width; ++at) read(at);
      } else if (kind == 2) {  // fft: itself and one partner
        read(i);
        read(i ^ (1u << (step % (log == 0 ? 1 : log))) % width);
      }
      task.write = step % 2 * width + i;
      graph.tasks.push_back(task);
    }
  }
  return graph;
}

/// Waits for about `ns` nanoseconds on the spot; the work of a task.
void work_for(std::uint64_t ns) noexcept;

// The systems under test: each runs a graph with 2 threads, each task working for `ns`; answers seconds of
// wall time. None leaves a thread behind that takes a processor from the next.
double run_openmp(const Graph& graph, std::uint64_t ns);
double run_tbb(const Graph& graph, std::uint64_t ns);
double run_starpu_lws(const Graph& graph, std::uint64_t ns);
double run_starpu_eager(const Graph& graph, std::uint64_t ns);

}  // namespace troupe::bench

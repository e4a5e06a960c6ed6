// What apps/python/bench/cost.py measures, in C++: a submit of three tensors, a run of nothing, a run of 256
// tasks over two chips, a run of a coroutine of nothing.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <troupe/troupe.hpp>
#include <vector>

using namespace troupe;

TROUPE_KERNEL(nothing)(KernelArgs&) {}
TROUPE_MODULE("bench_python_peer");

namespace {

using Clock = std::chrono::steady_clock;

double nanoseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
}

template <class Work>
double median(int rounds, Work work) {
  std::vector<double> times;
  for (int i = 0; i < rounds; ++i) times.push_back(work());
  std::nth_element(times.begin(), times.begin() + rounds / 2, times.end());
  return times[static_cast<std::size_t>(rounds / 2)];
}

Program nothing_to_wait_for(Orchestrator&) { co_return; }

}  // namespace

int main() {
  System system;
  const auto node = system.node({.chips = 2});
  node.load(this_module());
  auto a = node.tensor<float>({16}), b = node.tensor<float>({16}), c = node.tensor<float>({16});
  constexpr int submits = 2000;
  const double submit = median(15, [&] {
    double took = 0;
    node.run([&](Orchestrator& program) {
      const auto begin = Clock::now();
      for (int i = 0; i < submits; ++i) program.submit("nothing", in(a), in(b), out(c));
      took = nanoseconds_since(begin) / submits;
    });
    return took;
  });
  const double run = median(500, [&] {
    const auto begin = Clock::now();
    node.run([](Orchestrator&) {});
    return nanoseconds_since(begin);
  });
  const double tasks = median(50, [&] {
    const auto begin = Clock::now();
    node.run([&](Orchestrator& program) {
      for (int i = 0; i < 256; ++i) program.submit("nothing", inout(i % 2 == 0 ? a : b), on_chip(i % 2));
    });
    return nanoseconds_since(begin);
  });
  const double coroutine = median(500, [&] {
    const auto begin = Clock::now();
    node.run(nothing_to_wait_for);
    return nanoseconds_since(begin);
  });
  std::printf("%.0f %.0f %.0f %.0f\n", submit, run, tasks, coroutine);
}

// Random programs over three tensors and a number, to be recorded; and what they leave, on the host alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <utility>
#include <vector>

#include "troupe/testing.hpp"

namespace troupe::test {

inline constexpr std::uint32_t width = 16;

// Kernels "plan_mix" and "plan_write", on whatever looks like a list of numbers.
template <class In, class Out>
void mix(const In& a, const In& b, Out w, std::int64_t number) {
  auto sum = number;
  for (std::size_t i = 0; i < w.size(); ++i) sum = (sum * 31 + a[i] + 7 * b[i]) % 1'000'003;
  for (std::size_t i = 0; i < w.size(); ++i)
    w[i] = (w[i] * 3 + sum + static_cast<std::int64_t>(i)) % 1'000'003;
}
template <class In, class Out>
void write(const In& a, Out w, std::int64_t number) {
  const auto first = a[0];
  for (std::size_t i = 0; i < w.size(); ++i) w[i] = first - number + static_cast<std::int64_t>(i);
}

struct Step {
  enum Kind { mix, write, make, on_host } kind = mix;
  std::uint32_t reads[2] = {0, 0}, to = 0, read_begin = 0, write_begin = 0, length = 1;
  std::int64_t number = 0;
  bool takes_slot = false;
  int chip = -1;
};

inline std::vector<Step> random_steps(std::uint64_t seed, int chips) {
  std::mt19937_64 numbers(seed);
  const auto below = [&](std::uint64_t end) { return static_cast<std::uint32_t>(numbers() % end); };
  std::vector<Step> steps(2 + below(40));
  std::uint32_t cells = 3;
  for (auto& step : steps) {
    const auto dice = below(12);
    step.kind = dice < 7 ? Step::mix : dice < 9 ? Step::write : dice < 11 ? Step::make : Step::on_host;
    step.reads[0] = below(cells);
    step.reads[1] = below(cells);
    step.to = below(cells);
    step.length = 1 + below(width);
    step.read_begin = below(width - step.length + 1);
    step.write_begin = below(width - step.length + 1);
    step.number = below(1000);
    step.takes_slot = below(2) == 0;
    if (chips > 1 && below(3) != 0) step.chip = static_cast<int>(below(static_cast<std::uint64_t>(chips)));
    if (step.kind == Step::make) ++cells;
  }
  return steps;
}

inline void submit_all(Orchestrator& node, const std::vector<Step>& steps, Tensor x, Tensor y, Tensor z,
                       Slot<std::int64_t> slot) {
  std::vector<Tensor> cells{x, y, z};
  for (const auto& step : steps) {
    const auto view = [&](std::uint32_t cell, std::uint32_t begin) {
      return cells[cell].rows(begin, begin + step.length);
    };
    const auto a = view(step.reads[0], step.read_begin), b = view(step.reads[1], step.read_begin);
    const auto submit = [&](const char* kernel, const auto&... args) {
      if (step.takes_slot && step.chip >= 0)
        return (void)node.submit(kernel, args..., scalar(slot), on_chip(step.chip));
      if (step.takes_slot) return (void)node.submit(kernel, args..., scalar(slot));
      if (step.chip >= 0) return (void)node.submit(kernel, args..., scalar(step.number), on_chip(step.chip));
      (void)node.submit(kernel, args..., scalar(step.number));
    };
    switch (step.kind) {
      case Step::mix:
        submit("plan_mix", in(a), in(b), inout(view(step.to, step.write_begin)));
        break;
      case Step::write:
        submit("plan_write", in(a), out(view(step.to, step.write_begin)));
        break;
      case Step::make:
        cells.push_back(node.alloc<std::int64_t>({width}));
        submit("plan_write", in(a), out(cells.back()));
        break;
      case Step::on_host:
        node.submit_sub(
            [](HostArgs& args) { args.tensor<std::int64_t>(0)[0] += args.scalar<std::int64_t>(0); },
            inout(cells[step.to]), scalar(step.number));
        break;
    }
  }
}

/// A stretch of numbers.
struct Stretch {
  std::int64_t* begin = nullptr;
  std::uint32_t length = width;
  std::size_t size() const { return length; }
  std::int64_t& operator[](std::size_t i) const { return begin[i]; }
  Stretch rows(std::uint32_t from, std::uint32_t to) const { return {begin + from, to - from}; }
};

/// The same without a node: what the program leaves in x, y and z, which may overlap.
inline void run_on_host(const std::vector<Step>& steps, Stretch x, Stretch y, Stretch z, std::int64_t slot) {
  std::vector<Stretch> cells{x, y, z};
  std::deque<std::vector<std::int64_t>> made;
  for (const auto& step : steps) {
    const auto view = [&](std::uint32_t cell, std::uint32_t begin) {
      return cells[cell].rows(begin, begin + step.length);
    };
    const auto a = view(step.reads[0], step.read_begin), b = view(step.reads[1], step.read_begin);
    const auto number = step.takes_slot ? slot : step.number;
    switch (step.kind) {
      case Step::mix:
        test::mix(a, b, view(step.to, step.write_begin), number);
        break;
      case Step::write:
        test::write(a, view(step.to, step.write_begin), number);
        break;
      case Step::make:
        made.emplace_back(width);
        cells.push_back({made.back().data()});
        test::write(a, cells.back(), number);
        break;
      case Step::on_host:
        cells[step.to][0] += step.number;
        break;
    }
  }
}

}  // namespace troupe::test

// The stencil of heat.cpp without windows and flags: each chip's task just reads the rows of its neighbours.
// The plate is one tensor; its bands live on the chips that write them, and only the rows at the borders
// move.
#include <cstddef>
#include <cstdint>
#include <string>
#include <troupe/troupe.hpp>
#include <utility>
#include <vector>

#include "examples/check.hpp"

using namespace troupe;

namespace {

/// A point's next value: the mean of its four neighbours.
float mean(float above, float left, float right, float below) {
  return 0.25f * (above + below + left + right);
}

std::uint64_t first_row(std::uint32_t size, std::uint32_t band, std::uint32_t bands) {
  return std::uint64_t{size} * band / bands;
}

/// The same on the host, in plain loops: what the result must be, bit by bit.
std::vector<float> expected(std::vector<float> plate, std::size_t size, std::uint32_t steps) {
  auto next = plate;
  for (std::uint32_t step = 0; step < steps; ++step) {
    for (std::size_t at = size; at < size * (size - 1); ++at) {
      if (at % size == 0 || at % size == size - 1) continue;
      next[at] = mean(plate[at - size], plate[at - 1], plate[at + 1], plate[at + size]);
    }
    plate.swap(next);
  }
  return plate;
}

}  // namespace

void heat_rows(Orchestrator& node, std::uint32_t size, std::uint32_t steps) {
  const auto bands = static_cast<std::uint32_t>(node.chips());
  apps::require(size >= 3 && size / 2 >= bands, "a plate of size " + std::to_string(size) + " is too small",
                "at least 3, and two rows per chip");
  auto plate = node.tensor<float>({size, size}), next = node.tensor<float>({size, size});
  {
    const auto start = plate.host<float>();
    for (std::uint32_t i = 0; i < size; ++i) start[i] = 100.0f;  // hot at the upper rim
  }
  const auto view = plate.host<const float>();
  const std::vector<float> start(view.begin(), view.end());

  for (std::uint32_t step = 0; step < steps; ++step) {
    for (std::uint32_t band = 0; band < bands; ++band) {
      const auto begin = first_row(size, band, bands), end = first_row(size, band + 1, bands);
      const bool first = band == 0, last = band + 1 == bands;
      const auto above = first ? begin : begin - 1, below = last ? end - 1 : end;
      node.submit("heat_band", in(plate.rows(begin, end)), in(plate.rows(above, above + 1)),
                  in(plate.rows(below, below + 1)), out(next.rows(begin, end)), scalar(first), scalar(last),
                  on_chip(static_cast<int>(band)));
    }
    std::swap(plate, next);
  }
  apps::expect(node.read_all<float>(plate).get() == expected(start, size, steps),
               "the plate is the one that plain loops compute");
}
TROUPE_PROGRAM(heat_rows);

// A = L · Lᵀ for one matrix that is cut into tiles: four small kernels, their tasks spread over all chips. No
// tile is a tensor of its own; a task names the part of the matrix that it works on, and that part lives on
// the chip that wrote it last.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <troupe/troupe.hpp>
#include <vector>

#include "examples/check.hpp"

using namespace troupe;

void cholesky(Orchestrator& node, std::uint32_t tiles, std::uint32_t tile) {
  apps::require(tiles > 0 && tile > 0 && std::uint64_t{tiles} * tile <= 4096,
                std::to_string(tiles) + " tiles of " + std::to_string(tile) + " rows are none, or too many",
                "at most 4,096 rows in all: the result is checked by plain loops");
  const std::uint64_t n = std::uint64_t{tiles} * tile;
  auto matrix = node.tensor<double>({n, n});
  {
    const auto a = matrix.host<double>();
    for (std::uint64_t i = 0; i < n; ++i) {
      for (std::uint64_t j = 0; j < n; ++j)
        a[i * n + j] =
            i == j ? static_cast<double>(n) : 1.0 / static_cast<double>(1 + (i > j ? i - j : j - i));
    }
  }
  const auto view = matrix.host<const double>();
  const std::vector<double> given(view.begin(), view.end());

  const auto part = [&](std::uint64_t i, std::uint64_t j) {
    return matrix.view({i * tile, j * tile}, {tile, tile});
  };
  for (std::uint64_t j = 0; j < tiles; ++j) {
    node.submit("factor_tile", inout(part(j, j)));
    for (std::uint64_t i = j + 1; i < tiles; ++i)
      node.submit("solve_tile", in(part(j, j)), inout(part(i, j)));
    for (std::uint64_t i = j + 1; i < tiles; ++i) {
      for (std::uint64_t k = j + 1; k <= i; ++k)
        node.submit("update_tile", in(part(i, j)), in(part(k, j)), inout(part(i, k)));
    }
  }

  const auto l = node.read_all<double>(matrix).get();
  double worst = 0;
  for (std::uint64_t i = 0; i < n; ++i) {
    for (std::uint64_t j = 0; j <= i; ++j) {
      double sum = 0;
      for (std::uint64_t k = 0; k <= j; ++k) sum += l[i * n + k] * l[j * n + k];
      worst = std::max(worst, std::abs(sum - given[i * n + j]));
    }
  }
  apps::expect(worst < 1e-9 * static_cast<double>(n), "L times its transpose is the matrix");
}
TROUPE_PROGRAM(cholesky);

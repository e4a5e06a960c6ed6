// A = L · Lᵀ for one matrix that is cut into tiles: four small kernels, their tasks spread over all chips. No
// tile is a tensor of its own; a task names the part of the matrix that it works on, and that part lives on
// the chip that wrote it last.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <troupe/troupe.hpp>
#include <vector>

#include "examples/check.hpp"

using namespace troupe;

// The tile on the diagonal: a = l · lᵀ, l in the lower half.
TROUPE_KERNEL(factor_tile)(KernelArgs& k) {
  const auto a = k.tensor<double>(0);
  const auto n = a.extent(0);
  for (std::size_t j = 0; j < n; ++j) {
    double sum = a(j, j);
    for (std::size_t i = 0; i < j; ++i) sum -= a(j, i) * a(j, i);
    a(j, j) = std::sqrt(sum);
    for (std::size_t row = j + 1; row < n; ++row) {
      double entry = a(row, j);
      for (std::size_t i = 0; i < j; ++i) entry -= a(row, i) * a(j, i);
      a(row, j) = entry / a(j, j);
    }
  }
}
// A tile below it: b = b · l⁻ᵀ.
TROUPE_KERNEL(solve_tile)(KernelArgs& k) {
  const auto l = k.tensor<const double>(0);
  const auto b = k.tensor<double>(1);
  const auto n = l.extent(0);
  for (std::size_t row = 0; row < n; ++row) {
    for (std::size_t j = 0; j < n; ++j) {
      double sum = b(row, j);
      for (std::size_t i = 0; i < j; ++i) sum -= b(row, i) * l(j, i);
      b(row, j) = sum / l(j, j);
    }
  }
}
// A tile to the right of both: c = c - a · bᵀ. Only rows of tiles that lie one behind the other are walked.
TROUPE_KERNEL(update_tile)(KernelArgs& k) {
  const auto a = k.tensor<const double>(0), b = k.tensor<const double>(1);
  const auto c = k.tensor<double>(2);
  const auto n = c.extent(0);
  for (std::size_t row = 0; row < n; ++row) {
    const double* of_a = &a(row, 0);
    double* of_c = &c(row, 0);
    for (std::size_t column = 0; column < n; ++column) {
      const double* of_b = &b(column, 0);
      double sum = 0;
      for (std::size_t i = 0; i < n; ++i) sum += of_a[i] * of_b[i];
      of_c[column] -= sum;
    }
  }
}

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

"""A = L times its transpose, for a matrix in tiles: views of one array, which live on the chips that wrote them last."""

import numpy as np

import troupe
from troupe import in_, inout

KERNELS = troupe.kernel("""
// The tile on the diagonal: a = l l', l in the lower half.
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
// A tile below it: b = b / l'.
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
// A tile to the right of both: c = c - a b'.
TROUPE_KERNEL(update_tile)(KernelArgs& k) {
  const auto a = k.tensor<const double>(0), b = k.tensor<const double>(1);
  const auto c = k.tensor<double>(2);
  const auto n = c.extent(0);
  for (std::size_t row = 0; row < n; ++row) {
    for (std::size_t column = 0; column < n; ++column) {
      double sum = 0;
      for (std::size_t i = 0; i < n; ++i) sum += a(row, i) * b(column, i);
      c(row, column) -= sum;
    }
  }
}
""")


@troupe.program
def cholesky(node, tiles=4, tile=16):
    n = tiles * tile
    rows, columns = np.indices((n, n))
    given = np.where(rows == columns, float(n), 1.0 / (1 + abs(rows - columns)))
    matrix = given.copy()

    def part(i, j):
        return matrix[i * tile : (i + 1) * tile, j * tile : (j + 1) * tile]

    for j in range(tiles):
        node.submit("factor_tile", inout(part(j, j)))
        for i in range(j + 1, tiles):
            node.submit("solve_tile", in_(part(j, j)), inout(part(i, j)))
        for i in range(j + 1, tiles):
            for k in range(j + 1, i + 1):
                node.submit("update_tile", in_(part(i, j)), in_(part(k, j)), inout(part(i, k)))

    lower = np.tril(node.read_all(matrix).get())
    assert np.allclose(lower, np.linalg.cholesky(given)) and np.allclose(lower @ lower.T, given)
    return n


if __name__ == "__main__":
    with troupe.System(chips=2) as system:
        node = system.node()
        node.load(KERNELS)
        print("factored a matrix of", node.run(cholesky), "rows")

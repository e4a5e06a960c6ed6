// The kernels of the example cholesky: one source for chips and devices.
#include <troupe/runtime/device_kernel.hpp>

using troupe::runtime::KernelArgs;
namespace math = troupe::runtime::math;

// The tile on the diagonal: a = l · lᵀ, l in the lower half. One block: its lanes meet at every column.
TROUPE_KERNEL(factor_tile)(KernelArgs& k) {
  const auto a = k.tensor<double>(0);
  const auto n = static_cast<unsigned>(a.extent(0));
  const auto lane = static_cast<unsigned>(k.lane()), lanes = static_cast<unsigned>(k.lanes());
  for (unsigned j = 0; j < n; ++j) {
    if (lane == 0) {
      double sum = a(j, j);
      for (unsigned i = 0; i < j; ++i) sum -= a(j, i) * a(j, i);
      a(j, j) = math::sqrt(sum);
    }
    k.sync();
    for (unsigned row = j + 1 + lane; row < n; row += lanes) {
      double entry = a(row, j);
      for (unsigned i = 0; i < j; ++i) entry -= a(row, i) * a(j, i);
      a(row, j) = entry / a(j, j);
    }
    k.sync();
  }
}
// A tile below it: b = b · l⁻ᵀ.
TROUPE_KERNEL(solve_tile)(KernelArgs& k) {
  const auto l = k.tensor<const double>(0);
  const auto b = k.tensor<double>(1);
  const auto n = l.extent(0);
  for (auto row = k.first(); row < n; row += k.step()) {
    for (unsigned j = 0; j < n; ++j) {
      double sum = b(row, j);
      for (unsigned i = 0; i < j; ++i) sum -= b(row, i) * l(j, i);
      b(row, j) = sum / l(j, j);
    }
  }
}
// A tile to the right of both: c = c - a · bᵀ. Only rows of tiles that lie one behind the other are walked.
TROUPE_KERNEL(update_tile)(KernelArgs& k) {
  const auto a = k.tensor<const double>(0), b = k.tensor<const double>(1);
  const auto c = k.tensor<double>(2);
  const auto n = c.extent(0);
  for (unsigned row = 0; row < n; ++row) {
    const auto of_a = &a(row, 0);
    const auto of_c = &c(row, 0);
    for (auto column = k.first(); column < n; column += k.step()) {
      const auto of_b = &b(column, 0);
      double sum = 0;
      for (unsigned i = 0; i < n; ++i) sum += of_a[i] * of_b[i];
      of_c[column] -= sum;
    }
  }
}

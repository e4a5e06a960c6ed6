// The kernel of the example heat_rows: one source for chips and devices.
#include <troupe/runtime/device_kernel.hpp>

using troupe::runtime::KernelArgs;

// Tensors: my rows, the row above them, the row below; my rows one step later. At the rim of the plate the
// row above or below is my own first or last one, which then stays as it is.
TROUPE_KERNEL(heat_band)(KernelArgs& k) {
  const auto now = k.tensor<const float>(0);
  const auto above = k.tensor<const float>(1).data();
  const auto below = k.tensor<const float>(2).data();
  const auto then = k.tensor<float>(3);
  const bool first = k.scalar<bool>(0), last = k.scalar<bool>(1);
  const auto rows = now.extent(0), columns = now.extent(1), step = k.step();
  for (auto row = 0 * rows; row < rows; ++row) {
    const auto here = now.data() + row * columns;
    const auto up = row == 0 ? above : here - columns;
    const auto down = row + 1 == rows ? below : here + columns;
    const auto out = then.data() + row * columns;
    const bool rim = (first && row == 0) || (last && row + 1 == rows);
    for (auto column = k.first(); column < columns; column += step) {
      const bool stays = rim || column == 0 || column + 1 == columns;
      out[column] =
          stays ? here[column] : 0.25f * (up[column] + down[column] + here[column - 1] + here[column + 1]);
    }
  }
}

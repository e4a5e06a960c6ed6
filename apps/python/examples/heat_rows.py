"""The stencil of heat.py without windows and flags: a chip's task just reads the rows of its neighbours."""

import numpy as np

import troupe
from troupe import in_, out, scalar

KERNELS = troupe.kernel("""
// Tensors: my rows, the row above them, the row below; my rows one step later.
TROUPE_KERNEL(heat_band)(KernelArgs& k) {
  const auto now = k.tensor<const float>(0);
  const float* above = k.tensor<const float>(1).data();
  const float* below = k.tensor<const float>(2).data();
  const auto then = k.tensor<float>(3);
  const bool first = k.scalar<bool>(0), last = k.scalar<bool>(1);
  const auto rows = now.extent(0), columns = now.extent(1);
  for (std::size_t row = 0; row < rows; ++row) {
    const float* here = now.data() + row * columns;
    const float* up = row == 0 ? above : here - columns;
    const float* down = row + 1 == rows ? below : here + columns;
    const bool rim = (first && row == 0) || (last && row + 1 == rows);
    for (std::size_t column = 0; column < columns; ++column) {
      const bool stays = rim || column == 0 || column + 1 == columns;
      then(row, column) = stays ? here[column] : 0.25f * (up[column] + down[column] + here[column - 1] + here[column + 1]);
    }
  }
}
""")


def in_plain_loops(plate, steps):
    for _ in range(steps):
        following = plate.copy()
        inner = (plate[:-2, 1:-1] + plate[2:, 1:-1] + plate[1:-1, :-2] + plate[1:-1, 2:]) * np.float32(0.25)
        following[1:-1, 1:-1] = inner
        plate = following
    return plate


@troupe.program
async def heat_rows(node, size=32, steps=20):
    bands = node.chips
    plate, following = node.tensor((size, size)), node.tensor((size, size))
    plate.numpy()[0] = 100  # hot at the upper rim
    wanted = in_plain_loops(plate.numpy(writable=False), steps)
    for _ in range(steps):
        for band in range(bands):
            begin, end = size * band // bands, size * (band + 1) // bands
            first, last = band == 0, band + 1 == bands
            above, below = (begin if first else begin - 1), (end - 1 if last else end)
            node.submit(
                "heat_band",
                in_(plate[begin:end]),
                in_(plate[above : above + 1]),
                in_(plate[below : below + 1]),
                out(following[begin:end]),
                scalar(first),
                scalar(last),
                on_chip=band,
            )
        plate, following = following, plate
    got = await node.read_all(plate)
    assert np.allclose(got, wanted, atol=1e-4) and got[1, 1] > 0, "the plate is the one that plain loops compute"
    return float(got[1].mean())


if __name__ == "__main__":
    with troupe.System(chips=3) as system:
        node = system.node()
        node.load(KERNELS)
        print("below the rim it is", round(node.run(heat_rows), 1), "degrees warm")

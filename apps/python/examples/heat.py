"""Heat spreads over a plate: the rows are divided among chips, which write their edges into each other's windows."""

import numpy as np

import troupe
from troupe import args, in_, inout, out, out_existing, scalar

KERNELS = troupe.kernel("""
#include <algorithm>
#include <troupe/runtime/comm_context.hpp>

// Tensors: two plates, [2, rows + 2, columns], with the neighbours' rows; two flags. Scalars: my rows, steps,
// the domain, the rows of the chip above.
TROUPE_KERNEL(heat_steps)(KernelArgs& k) {
  const auto plates = k.tensor<float>(0);
  const auto flags = k.tensor<std::uint64_t>(1);  // 0: the row from above is there for step ...; 1: from below
  const auto rows = k.scalar<std::uint32_t>(0), steps = k.scalar<std::uint32_t>(1);
  const auto& domain = *k.scalar<const CommContext*>(2);
  const std::size_t columns = plates.extent(2);
  const bool has_above = domain.rank > 0, has_below = domain.rank + 1 < domain.rank_count;
  for (std::uint64_t step = 1; step <= steps; ++step) {
    const std::uint32_t now = (step - 1) % 2, then = step % 2;
    if (has_above) {
      float* theirs = domain.on_peer(&plates(now, 0, 0), domain.rank - 1) + (k.scalar<std::uint32_t>(3) + 1) * columns;
      std::copy_n(&plates(now, 1, 0), columns, theirs);
      k.notify(*domain.on_peer(&flags[1], domain.rank - 1), step);
    }
    if (has_below) {
      std::copy_n(&plates(now, rows, 0), columns, domain.on_peer(&plates(now, 0, 0), domain.rank + 1));
      k.notify(*domain.on_peer(&flags[0], domain.rank + 1), step);
    }
    if (has_above && k.wait_until(flags[0], Compare::greater_equal, step) != WaitStatus::ready) return;
    if (has_below && k.wait_until(flags[1], Compare::greater_equal, step) != WaitStatus::ready) return;
    const std::uint32_t first = has_above ? 1 : 2, last = has_below ? rows : rows - 1;  // the rim stays
    for (std::uint32_t row = first; row <= last; ++row) {
      for (std::size_t column = 1; column + 1 < columns; ++column) {
        plates(then, row, column) = 0.25f * (plates(now, row - 1, column) + plates(now, row + 1, column) +
                                             plates(now, row, column - 1) + plates(now, row, column + 1));
      }
    }
  }
}
TROUPE_KERNEL(copy_rows)(KernelArgs& k) {
  const auto from = k.tensor<const float>(0);
  const auto to = k.tensor<float>(1);
  for (std::size_t row = 0; row < to.extent(0); ++row) std::copy_n(&from(row, 0), to.extent(1), &to(row, 0));
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
def heat(node, size=32, steps=20):
    ranks = node.chips
    begins = [size * rank // ranks for rank in range(ranks + 1)]
    counts = [end - begin for begin, end in zip(begins, begins[1:])]
    most = max(counts)  # all lay out their windows alike
    domain = node.allocate_domain(range(ranks), {"plates": 2 * (most + 2) * size * 4, "flags": 64}).get()
    plate = np.zeros((size, size), "f4")
    plate[0] = 100  # hot at the upper rim
    wanted = in_plain_loops(plate, steps)

    def plates(rank):
        return domain.rank(rank).buffer("plates").reshape(2, most + 2, size)

    def band(rank):
        return plate[begins[rank] : begins[rank + 1]]

    for rank in range(ranks):
        for which in (0, 1):  # both, for the rim that is never computed
            rows = plates(rank)[which].rows(1, counts[rank] + 1)
            node.submit("copy_rows", in_(band(rank)), out_existing(rows), name=f"stage band {rank}")

    def member(rank):
        mine, above = counts[rank.index], counts[rank.index - 1] if rank.index else 0
        return args(
            inout(plates(rank.index)), inout(rank.buffer("flags", "uint64")), scalar(mine), scalar(steps), rank.context(), scalar(above)
        )

    node.submit_group("heat_steps", domain.each(member), name="heat")
    for rank in range(ranks):
        rows = plates(rank)[steps % 2].rows(1, counts[rank] + 1)
        node.submit("copy_rows", in_(rows), out(band(rank)), name=f"read back band {rank}")
    got = node.read_all(plate).get()
    assert np.allclose(got, wanted, atol=1e-4) and got[1, 1] > 0, "the plate is the one that plain loops compute"
    return float(got[1].mean())


if __name__ == "__main__":
    with troupe.System(chips=3) as system:
        node = system.node()
        node.load(KERNELS)
        print("below the rim it is", round(node.run(heat), 1), "degrees warm")

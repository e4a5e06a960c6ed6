// Heat spreads over a plate: a 2-D stencil whose rows are divided among the chips. Each step needs one row of
// each neighbour (the halo), written by the neighbour straight into this chip's window and announced by a
// flag. One group task does all steps: its members run at the same time and wait for each other's flags, not
// for the host.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <troupe/runtime/comm_context.hpp>
#include <troupe/troupe.hpp>
#include <vector>

#include "examples/check.hpp"

using namespace troupe;

namespace {

/// A point's next value: the mean of its four neighbours.
float mixed(const float* above, const float* here, const float* below, std::size_t column) {
  return 0.25f * (above[column] + below[column] + here[column - 1] + here[column + 1]);
}

/// The band of rows that `rank` owns, of `rows` in all.
std::uint32_t band_begin(std::uint32_t rows, std::uint32_t rank, std::uint32_t ranks) {
  return rows * rank / ranks;
}

/// The same on the host, in plain loops: what the result must be, bit by bit.
std::vector<float> golden(std::vector<float> plate, std::size_t rows, std::size_t columns,
                          std::uint32_t steps) {
  std::vector<float> next = plate;
  for (std::uint32_t step = 0; step < steps; ++step) {
    for (std::size_t row = 1; row + 1 < rows; ++row) {
      const float* here = plate.data() + row * columns;
      for (std::size_t column = 1; column + 1 < columns; ++column) {
        next[row * columns + column] = mixed(here - columns, here, here + columns, column);
      }
    }
    plate.swap(next);
  }
  return plate;
}

}  // namespace

// Tensors: the two plates, [2, rows + 2, columns], halo rows included; the two flags. Scalars: rows that I
// own, steps, the domain.
TROUPE_KERNEL(heat_steps)(KernelArgs& k) {
  const auto plates = k.tensor<float>(0);
  const auto flags = k.tensor<std::uint64_t>(1);  // 0: the row from above is there for step …; 1: from below
  const auto rows = k.scalar<std::uint32_t>(0), steps = k.scalar<std::uint32_t>(1);
  const auto& domain = *k.scalar<const runtime::CommContext*>(2);
  const std::size_t columns = plates.extent(2);
  const bool has_above = domain.rank > 0, has_below = domain.rank + 1 < domain.rank_count;

  for (std::uint64_t step = 1; step <= steps; ++step) {
    const std::uint32_t now = (step - 1) % 2, then = step % 2;
    // My edge rows go into the neighbours' halo rows. A neighbour that is one step ahead has waited for my
    // flag of this step, so the rows that it overwrites have been used: two plates are enough.
    if (has_above) {
      auto& top = plates(now, 1, 0);
      float* halo = domain.on_peer(&plates(now, 0, 0), domain.rank - 1);
      // The neighbour's last halo row lies behind its own rows, and it may own another number of rows.
      halo += (k.scalar<std::uint32_t>(3) + 1) * columns;
      std::copy_n(&top, columns, halo);
      k.notify(*domain.on_peer(&flags[1], domain.rank - 1), step);
    }
    if (has_below) {
      std::copy_n(&plates(now, rows, 0), columns, domain.on_peer(&plates(now, 0, 0), domain.rank + 1));
      k.notify(*domain.on_peer(&flags[0], domain.rank + 1), step);
    }
    if (has_above && k.wait_until(flags[0], Compare::greater_equal, step) != WaitStatus::ready) return;
    if (has_below && k.wait_until(flags[1], Compare::greater_equal, step) != WaitStatus::ready) return;

    const std::uint32_t first = has_above ? 1 : 2,
                        last = has_below ? rows : rows - 1;  // the rim stays as it is
    for (std::uint32_t row = first; row <= last; ++row) {
      const float* here = &plates(now, row, 0);
      for (std::size_t column = 1; column + 1 < columns; ++column) {
        plates(then, row, column) = mixed(here - columns, here, here + columns, column);
      }
    }
  }
}

// Between a band in host memory and the rows of a plate, either way.
TROUPE_KERNEL(copy_rows)(KernelArgs& k) {
  const auto from = k.tensor<const float>(0);
  const auto to = k.tensor<float>(1);
  for (std::size_t row = 0; row < to.extent(0); ++row) {
    std::copy_n(&from(row, 0), to.extent(1), &to(row, 0));
  }
}

void heat(Orchestrator& node, std::uint32_t size, std::uint32_t steps) {
  const auto ranks = static_cast<std::uint32_t>(node.chips());
  apps::require(size >= 3 && size / 2 >= ranks, "a plate of size " + std::to_string(size) + " is too small",
                "at least 3, and two rows per chip");
  // All ranks lay out their window for the largest band, so that an address means the same on each.
  const std::uint32_t most = (size + ranks - 1) / ranks;
  DomainSpec spec;
  spec.chips = first_chips(node.chips());
  spec.buffers = {{"plates", std::uint64_t{2} * (most + 2) * size * sizeof(float)}, {"flags", 64}};
  const Domain domain = node.allocate_domain(spec).get();

  auto plate = node.tensor<float>({size, size}, 0.0f);
  for (std::uint32_t i = 0; i < size; ++i) plate.host<float>()[i] = 100.0f;  // hot at the upper rim
  const std::vector<float> start(plate.host<float>().begin(), plate.host<float>().end());

  const auto plates = [&](std::uint32_t rank) {
    return domain.rank(static_cast<int>(rank)).buffer("plates").reshape({2, most + 2, size});
  };
  const auto rows_of = [&](std::uint32_t rank, std::uint32_t which) {
    const std::uint32_t rows = band_begin(size, rank + 1, ranks) - band_begin(size, rank, ranks);
    return plates(rank).slice(0, which, which + 1).reshape({most + 2, size}).rows(1, rows + 1);
  };
  const auto band = [&](std::uint32_t rank) {
    return plate.rows(band_begin(size, rank, ranks), band_begin(size, rank + 1, ranks));
  };
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    for (const std::uint32_t which : {0u, 1u}) {  // both, for the rim that is never computed
      node.submit("copy_rows", in(band(rank)), out_existing(rows_of(rank, which)),
                  on_chip(static_cast<int>(rank)), name("stage band " + std::to_string(rank)));
    }
  }
  node.submit_group("heat_steps", domain.each([&](auto& rank) {
    const auto number = static_cast<std::uint32_t>(rank.index());
    const auto rows = band_begin(size, number + 1, ranks) - band_begin(size, number, ranks);
    const auto above =
        number == 0 ? 0 : band_begin(size, number, ranks) - band_begin(size, number - 1, ranks);
    return args(inout(plates(number)), inout(rank.template buffer<std::uint64_t>("flags")), scalar(rows),
                scalar(steps), rank.context(), scalar(above));
  }),
                    name("heat"));
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    node.submit("copy_rows", in(rows_of(rank, steps % 2)), out(band(rank)), on_chip(static_cast<int>(rank)),
                name("read back band " + std::to_string(rank)));
  }
  apps::expect(node.read_all<float>(plate).get() == golden(start, size, size, steps),
               "the plate is the one that plain loops compute");
}
TROUPE_PROGRAM(heat);

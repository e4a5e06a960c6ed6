// Writes what it sees: (out of 64-bit integers, 16 scalars): the scalars, then block, blocks, lane of this
// block, in a row for each block and lane (AIC 0, the vector lanes 1 and 2 where there is one, else as they
// come).
#include "kernel.hpp"

struct Local {
  std::int32_t block, blocks;
};

extern "C" void kernel_entry(std::int64_t* args) {
  const auto& out = tensor(args, 0);
  const auto& local = *reinterpret_cast<const Local*>(args[48]);
  const auto lane = *reinterpret_cast<const std::int32_t*>(args[49]);
  const auto row = static_cast<std::uint64_t>(local.block) * 32;
  for (std::uint64_t i = 0; i < 16; ++i) out.at<std::int64_t>(row + i) = args[1 + i];
  out.at<std::int64_t>(row + 16) = local.block;
  out.at<std::int64_t>(row + 17) = local.blocks;
  __atomic_or_fetch(&out.at<std::int64_t>(row + 18), std::int64_t{1} << lane, __ATOMIC_RELAXED);
  __atomic_add_fetch(&out.at<std::int64_t>(row + 19), 1, __ATOMIC_RELAXED);
}

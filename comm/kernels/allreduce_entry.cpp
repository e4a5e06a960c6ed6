// The allreduce in the foreign kernel form: one object, one `kernel_entry`, five scalars
//
//   0 input_ptr   this rank's input, in its window
//   1 output_ptr  this rank's output, anywhere on the chip, not overlapping any input
//   2 nranks      how many inputs to add
//   3 root        the rank whose input comes first in the sum: root, root + 1, …, modulo nranks
//   4 device_ctx  address of this rank's CommContext
//
// Raw scalars because a tensor argument's address would be rewritten on its way to the chip. The array has
// TROUPE_ALLREDUCE_COUNT floats, a constant of the object, as in every foreign kernel: a 128 × 128 tile.
//
// The kernel waits for nobody. A barrier before it makes every input complete, a barrier after it makes every
// input free again; in between nothing can hang. With the same root on every rank all ranks get the same
// bits.

#include <cstdint>

#include "troupe/runtime/comm_context.hpp"

#ifndef TROUPE_ALLREDUCE_COUNT
#define TROUPE_ALLREDUCE_COUNT 16384
#endif

namespace {

using troupe::runtime::CommContext;

/// A pointer into this rank's window, as the window of `rank` has it.
const float* comm_remote_ptr(const CommContext& context, const float* local, std::uint32_t rank) {
  return context.on_peer(local, rank);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void kernel_entry(std::int64_t* args) {
  const auto* input = reinterpret_cast<const float*>(args[0]);
  auto* output = reinterpret_cast<float*>(args[1]);
  const auto& context = *reinterpret_cast<const CommContext*>(args[4]);
  const auto ranks = static_cast<std::uint64_t>(args[2]);
  const auto root = static_cast<std::uint64_t>(args[3]);
  if (ranks == 0 || ranks > context.rank_count || root >= ranks) return;

  for (std::uint64_t i = 0; i < ranks; ++i) {
    const float* theirs = comm_remote_ptr(context, input, static_cast<std::uint32_t>((root + i) % ranks));
    if (theirs == nullptr) return;  // the input is not in the window
    for (std::uint32_t k = 0; k < TROUPE_ALLREDUCE_COUNT; ++k) {
      output[k] = i == 0 ? theirs[k] : output[k] + theirs[k];
    }
  }
}

// All-reduce: every chip has a vector, afterwards every chip has the sum. The vectors are staged from the
// host into windows, which all chips of a domain can read; one group task (a member per chip, started
// together) adds them up; the results are read back and checked.
#include <cstdint>
#include <string>
#include <troupe/runtime/comm_context.hpp>
#include <troupe/troupe.hpp>
#include <vector>

#include "examples/check.hpp"

using namespace troupe;

namespace {

constexpr std::uint32_t count = 128 * 128;  // a constant of the kernel, as usual for kernels of five scalars

}  // namespace

// 0: my input, in my window. 1: my output. 2: ranks. 3: whose input comes first in the sum. 4: the domain.
TROUPE_KERNEL(add_all_ranks)(KernelArgs& k) {
  const auto* input = k.scalar<const float*>(0);
  auto* output = k.scalar<float*>(1);
  const auto ranks = k.scalar<std::uint32_t>(2), root = k.scalar<std::uint32_t>(3);
  const auto& domain = *k.scalar<const runtime::CommContext*>(4);
  for (std::uint32_t i = 0; i < ranks; ++i) {
    const float* theirs = domain.on_peer(input, (root + i) % ranks);
    for (std::uint32_t j = 0; j < count; ++j) output[j] = i == 0 ? theirs[j] : output[j] + theirs[j];
  }
}

void allreduce(Orchestrator& node, std::uint32_t rounds) {
  const auto ranks = static_cast<std::uint32_t>(node.chips());
  DomainSpec spec;
  spec.chips = first_chips(node.chips());
  spec.buffers = {{"input", count * sizeof(float)}, {"output", count * sizeof(float)}};
  const Domain domain = node.allocate_domain(spec).get();

  for (std::uint32_t round = 0; round < rounds; ++round) {
    std::vector<Tensor> results;
    for (int rank = 0; rank < domain.size(); ++rank) {
      const auto mine = node.tensor<float>({count}, static_cast<float>(rank + 1));
      node.copy(domain.rank(rank).buffer<float>("input"), mine, name("stage rank " + std::to_string(rank)));
    }
    // Naming the domain orders the group after the staging of all ranks: no barrier is written by hand.
    node.submit_group("add_all_ranks", domain.each([&](auto& rank) {
      return args(rank.address_of("input"), rank.address_of("output"), scalar(ranks), scalar(round % ranks),
                  rank.context());
    }),
                      name("all-reduce"));
    for (int rank = 0; rank < domain.size(); ++rank) {
      results.push_back(node.tensor<float>({count}));
      node.copy(results.back(), domain.rank(rank).buffer<float>("output"),
                name("read back rank " + std::to_string(rank)));
    }
    const float sum = static_cast<float>(ranks * (ranks + 1)) / 2;  // 1 + 2 + … + ranks
    for (const auto& result : results) {
      for (const float value : node.read_all<float>(result).get()) {
        apps::expect(value == sum, "every rank has the sum of all ranks");
      }
    }
  }
}
TROUPE_PROGRAM(allreduce);

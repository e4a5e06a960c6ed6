"""Every chip has a vector, afterwards every chip has the sum: a domain of windows that all chips can read."""

import troupe
from troupe import args, scalar

KERNEL = """
#include <troupe/runtime/comm_context.hpp>

TROUPE_KERNEL(add_all_ranks)(KernelArgs& k) {
  const auto* input = k.scalar<const float*>(0);
  auto* output = k.scalar<float*>(1);
  const auto ranks = k.scalar<std::uint32_t>(2), count = k.scalar<std::uint32_t>(3);
  const auto& domain = *k.scalar<const CommContext*>(4);
  for (std::uint32_t i = 0; i < ranks; ++i) {
    const float* theirs = domain.on_peer(input, i);
    for (std::uint32_t j = 0; j < count; ++j) output[j] = i == 0 ? theirs[j] : output[j] + theirs[j];
  }
}
"""


@troupe.program
async def allreduce(node, count=4096):
    ranks = node.chips
    domain = await node.allocate_domain(range(ranks), {"input": 4 * count, "output": 4 * count})
    for rank in range(ranks):
        node.fill(domain.rank(rank).buffer("input"), float(rank + 1))

    def member(rank):
        return args(rank.address_of("input"), rank.address_of("output"), scalar(ranks), scalar(count), rank.context())

    node.submit_group("add_all_ranks", domain.each(member), name="all-reduce")
    return [await node.read_all(domain.rank(rank).buffer("output")) for rank in range(ranks)]


if __name__ == "__main__":
    with troupe.System(chips=4) as system:
        node = system.node()
        node.load(troupe.kernel(KERNEL))
        assert all((sums == 1 + 2 + 3 + 4).all() for sums in node.run(allreduce))
        print("every rank has the sum of all ranks")

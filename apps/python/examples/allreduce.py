"""Every chip has a vector, afterwards every chip has the sum: the collective kernels that ship with troupe."""

import troupe


@troupe.program
async def allreduce(node, count=4096):
    ranks = node.chips
    domain = await node.allocate_domain(range(ranks), {"x": 4 * count, "workspace": troupe.COLLECTIVE_WORKSPACE})
    for rank in range(ranks):
        node.fill(domain.rank(rank).buffer("x"), float(rank + 1))
    troupe.all_reduce(node, domain, "x", name="all-reduce")
    return [await node.read_all(domain.rank(rank).buffer("x")) for rank in range(ranks)]


if __name__ == "__main__":
    with troupe.System(chips=4) as system:
        node = system.node()
        node.load(troupe.COLLECTIVES)
        sums = node.run(allreduce)
        assert len(sums) == 4 and all((one == 1 + 2 + 3 + 4).all() for one in sums)
        print("every rank has the sum of all ranks")

"""The collective kernels that ship with troupe, called from Python: what every rank has then is what numpy says."""

import numpy as np
import pytest

import troupe
from troupe import args, inout

COUNT = 1003


@pytest.fixture(params=[2, 3, 4])
def ranks(request):
    return request.param


@pytest.fixture
def machine(ranks):
    with troupe.System(chips=ranks) as system:
        node = system.node()
        node.load(troupe.COLLECTIVES)
        yield node


def inputs(ranks, count=COUNT, dtype="f4"):
    rng = np.random.default_rng(ranks)
    return [rng.integers(-100, 100, count).astype(dtype) for _ in range(ranks)]


def windows(node, **buffers):
    buffers["workspace"] = troupe.COLLECTIVE_WORKSPACE
    return node.allocate_domain(range(node.chips), buffers)


@pytest.mark.parametrize("algorithm", ["automatic", "one_phase", "two_phase", "ring", "bidirectional_ring"])
@pytest.mark.parametrize("operation, of_numpy", [("sum", np.add), ("min", np.minimum), ("max", np.maximum)])
def test_all_reduce_in_windows(machine, ranks, operation, of_numpy, algorithm):
    arrays = inputs(ranks)

    async def program(node):
        domain = await windows(node, x=4 * COUNT)
        for rank, array in enumerate(arrays):
            node.copy(domain.rank(rank).buffer("x"), array)
        task = troupe.all_reduce(node, domain, "x", operation=operation, algorithm=algorithm, name="all of them")
        assert "all of them" in repr(task)
        return [await node.read_all(domain.rank(rank).buffer("x")) for rank in range(ranks)]

    for got in machine.run(program):
        np.testing.assert_array_equal(got, of_numpy.reduce(arrays))


def test_all_reduce_of_arrays_that_lie_anywhere(machine, ranks):
    arrays, sums = inputs(ranks, dtype="i4"), [np.zeros(COUNT, "i4") for _ in range(ranks)]

    def program(node):
        domain = windows(node).get()
        troupe.all_reduce(node, domain, arrays, sums)
        troupe.all_reduce(node, domain, arrays)  # in place: the first has read them by then

    machine.run(program)
    want = np.add.reduce(inputs(ranks, dtype="i4"))
    for got in arrays + sums:
        np.testing.assert_array_equal(got, want)


def parts_of(count, ranks):
    """As docs/communication.md says: near-equal, the first ones have one more."""
    sizes = [count // ranks + (rank < count % ranks) for rank in range(ranks)]
    ends = np.cumsum(sizes)
    return [slice(end - size, end) for size, end in zip(sizes, ends)]


def test_all_gather_and_reduce_scatter(machine, ranks):
    arrays, parts = inputs(ranks), parts_of(COUNT, ranks)
    whole = [np.zeros(COUNT, "f4") for _ in range(ranks)]
    shares = [np.zeros(part.stop - part.start, "f4") for part in parts]

    def program(node):
        domain = windows(node, x=4 * COUNT).get()
        troupe.all_gather(node, domain, [array[part].copy() for array, part in zip(arrays, parts)], whole)
        troupe.reduce_scatter(node, domain, arrays, shares, operation="max")
        for rank, part in enumerate(parts):
            x = domain.rank(rank).buffer("x")
            node.fill(x, 0.0)
            node.copy(x[int(part.start) : int(part.stop)], arrays[rank][part])
        troupe.all_gather(node, domain, "x")
        return [node.read_all(domain.rank(rank).buffer("x")).get() for rank in range(ranks)]

    in_place = machine.run(program)
    gathered = np.concatenate([array[part] for array, part in zip(arrays, parts)])
    for got in whole + in_place:
        np.testing.assert_array_equal(got, gathered)
    for got, part in zip(shares, parts):
        np.testing.assert_array_equal(got, np.maximum.reduce(arrays)[part])


def test_broadcast_and_all_to_all(machine, ranks):
    count = 12 * ranks
    arrays, results = inputs(ranks, count), [np.zeros(count, "f4") for _ in range(ranks)]
    last = ranks - 1

    def program(node):
        domain = windows(node, x=8 * 5).get()
        troupe.all_to_all(node, domain, arrays, results)
        for rank in range(ranks):
            node.fill(domain.rank(rank).buffer("x", "int32"), rank)
        troupe.broadcast(node, domain, "x", root=last, dtype="int32")
        return [node.read_all(domain.rank(rank).buffer("x", "int32")).get() for rank in range(ranks)]

    for got in machine.run(program):
        assert (got == last).all()
    for rank, got in enumerate(results):
        np.testing.assert_array_equal(got, np.concatenate([array[12 * rank : 12 * (rank + 1)] for array in arrays]))


def test_the_barrier_of_chips_is_a_group_like_others(machine, ranks):
    def program(node):
        domain = windows(node).get()
        node.submit_group("barrier", domain.each(lambda rank: args(inout(rank.buffer("workspace")), rank.context()))).wait()
        return "all were there"

    assert machine.run(program) == "all were there"


def test_what_does_not_fit_is_refused_with_what_would(machine, ranks):
    arrays = inputs(ranks)

    async def program(node):
        domain = await windows(node, x=64)
        for wrong, sentence in [
            (lambda: troupe.all_reduce(node, domain, "x", operation="product"), "sum, min, max"),
            (lambda: troupe.all_reduce(node, domain, "x", algorithm="magic"), "two_phase"),
            (lambda: troupe.all_reduce(node, domain, arrays + arrays), f"{2 * ranks} arrays for {ranks} ranks"),
            (lambda: troupe.all_reduce(node, domain, arrays, arrays[1:]), f"{ranks - 1} arrays for {ranks} ranks"),
            (lambda: troupe.broadcast(node, domain, "y"), "y"),
            (lambda: troupe.broadcast(node, domain, "x", workspace="desk"), "desk"),
        ]:
            with pytest.raises(troupe.Error, match=sentence):
                wrong()
        with pytest.raises(troupe.Error) as raised:
            await troupe.all_reduce(node, domain, "x", dtype="uint8")
        assert "no arithmetic" in str(raised.value.root)

    machine.run(program)


def test_a_rank_that_dies_ends_the_call_for_all():
    from troupe import testing

    with troupe.System(chips=2, restarts=0) as system:
        node = system.node()
        node.load(troupe.COLLECTIVES)

        async def program(node_of, domain_of):
            domain = await windows(node_of, x=64)
            domain_of.append(domain)
            testing.kill(node, 1)
            await troupe.all_reduce(node_of, domain, "x")

        with pytest.raises(troupe.Error) as raised:
            node.run(program, [])
        # As soon as it is known: before the group is formed, or in the middle of it.
        assert raised.value.root.code in ("peer_lost", "chip_lost", "group_too_large"), raised.value


def test_a_plan_keeps_the_domain_that_its_program_formed(machine, ranks):
    arrays = inputs(ranks)

    async def program(node, everything, *arrays):
        domain = await windows(node, x=4 * COUNT)
        for rank, array in enumerate(arrays):
            node.copy(domain.rank(rank).buffer("x"), array)
        troupe.all_reduce(node, domain, "x")
        node.copy(everything, domain.rank(ranks - 1).buffer("x"))

    everything = np.zeros(COUNT, "f4")
    plan = machine.record(program, everything, *arrays)
    for _ in range(3):
        everything[:] = 0
        machine.run(plan, everything, *arrays)
        np.testing.assert_array_equal(everything, np.add.reduce(arrays))

"""Memory that is lent to a run is the user's alone again when the run has ended."""

import numpy as np
import pytest

import troupe
from troupe import inout, scalar


def twice(node, x, factor):
    for chip in range(2):
        node.submit("scale", inout(x), scalar(factor), on_chip=chip)


async def twice_and_wait(node, x, factor):
    for chip in range(2):
        await node.submit("scale", inout(x), scalar(factor), on_chip=chip)


@pytest.mark.parametrize("program", [twice, twice_and_wait])
@pytest.mark.parametrize("how", ["run", "submit"])
def test_ranges_that_overlap_are_lent_to_one_run_after_another(node, program, how):
    memory = bytearray(np.ones(64, "f4"))
    expected = np.ones(64, "f4")
    for i in range(1000):
        factor = 0.5 if i % 2 else 2.0
        expected[i % 32 : i % 32 + 32] *= factor * factor
        # Of a memoryview nobody knows the whole: each is memory of its own.
        part = np.frombuffer(memory, "f4", 32, 4 * (i % 32))
        if how == "run":
            node.run(program, Foreign(part), factor)
        else:
            node.submit(program, Foreign(part), factor).result()
        assert (np.frombuffer(memory, "f4") == expected).all()


class Foreign:
    """Of another package, which lends what it has through DLPack only."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return 1, 0


@pytest.mark.parametrize("program", [twice, twice_and_wait])
def test_what_lends_its_memory_to_a_run_may_be_resized_behind_it(node, program):
    import array

    lender = array.array("f", [1.0] * 8)
    for i in range(500):
        node.run(program, lender, 0.5 if i % 2 else 2.0)
        lender.append(1.0)
    # Each has its factors from when it came on.
    assert lender.tolist() == [1.0] * 8 + [1.0 if i % 2 else 0.25 for i in range(500)]

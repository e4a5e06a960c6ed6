"""Handles that asyncio awaits."""

import asyncio
import gc
import os
import threading
import weakref

import numpy as np
import pytest

import troupe
import troupe.testing
from troupe import inout


def test_a_handle_is_awaited_for_what_its_program_returned(node):
    async def main():
        first = node.submit(lambda node: 5)
        assert await first == 5
        assert await first == 5
        return await asyncio.gather(*(node.submit(lambda node, i=i: i * i) for i in range(200)))

    assert asyncio.run(main()) == [i * i for i in range(200)]
    assert asyncio.run(main()) == [i * i for i in range(200)]  # in another loop


def test_others_go_on_meanwhile(node):
    go_on = threading.Event()

    async def main():
        x = np.zeros(1, "f4")

        def program(node):
            node.submit_sub(lambda x: (go_on.wait(60), x.fill(3)), inout(x))

        handle = node.submit(program)

        async def other():
            go_on.set()
            return "went on"

        return await asyncio.gather(handle_of(handle), other()), x[0]

    async def handle_of(handle):
        return await handle

    assert asyncio.run(main()) == ([None, "went on"], 3)


def test_what_a_run_ends_with_is_raised(node):
    def fails(node):
        raise ValueError("on purpose")

    async def main():
        with pytest.raises(troupe.Error) as raised:
            await node.submit(fails)
        assert isinstance(raised.value.__cause__, ValueError)
        handle = node.submit(lambda node: node.submit("hang", inout(node.tensor(1))))
        asyncio.get_running_loop().call_soon(handle.cancel)
        with pytest.raises(troupe.Error) as raised:
            await handle
        return raised.value.code

    assert asyncio.run(main()) == "cancelled"


def test_who_gives_up_the_wait_gives_up_the_run(node):
    async def main():
        handle = node.submit(lambda node: node.submit("hang", inout(node.tensor(1))))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(wait_for(handle), 0.01)
        handle.wait()
        assert handle.report().error.code == "cancelled"
        kept = node.submit(lambda node: node.submit("hang", inout(node.tensor(1))))
        waiting = asyncio.ensure_future(wait_for(kept))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 0.01)
        assert not kept.done
        kept.cancel()
        with pytest.raises(troupe.Error):
            await waiting

    async def wait_for(handle):
        await handle

    asyncio.run(main())


def descriptors():
    """How many there are that loops hear of ends through, or others of their kind."""
    gc.collect()
    links = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
    return sum("[eventfd]" in link for link in links)


@pytest.mark.parametrize("how", ["cancelled", "closed"])
def test_a_wait_that_is_given_up_leaves_nothing_of_its_loop_while_the_run_goes_on(node, how):
    began, go_on = threading.Semaphore(0), threading.Event()

    def program(node):
        node.submit_sub(lambda: (began.release(), go_on.wait(60)))

    async def wait_for(handle):
        await handle

    async def begin(handle):
        began.acquire()
        waiting = asyncio.ensure_future(wait_for(handle))
        await asyncio.sleep(0)  # it has begun to wait
        assert waiting.get_coro().cr_await is not None
        return waiting

    async def give_up(handle):
        before = descriptors()
        waiting = await begin(handle)
        assert descriptors() == before + 1
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    def once():
        handle, loop = node.submit(program), asyncio.new_event_loop()
        kept = loop.run_until_complete((give_up if how == "cancelled" else begin)(handle))
        loop.close()
        assert not handle.done and (kept is None or not kept.done())
        return weakref.ref(loop)

    before = descriptors()
    try:
        loops = [once() for _ in range(2)]
        assert descriptors() == before
        assert [loop() for loop in loops] == [None] * 2
    finally:
        go_on.set()


def test_a_run_of_a_simulation_is_not_awaited():
    sim = troupe.testing.Simulation()

    async def main():
        handle = sim.node.submit(lambda node: 5)
        before = descriptors()
        with pytest.raises(troupe.Error, match="of a simulation"):
            await handle
        assert descriptors() == before
        return handle

    assert asyncio.run(main()).result() == 5


def test_elsewhere_a_handle_is_not_awaited(node):
    handle = node.submit(lambda node: None)

    async def program(node):
        await handle

    with pytest.raises(troupe.Error, match="where asyncio runs") as raised:
        node.run(program)
    assert "handle.result()" in str(raised.value)
    with pytest.raises(troupe.Error, match="where asyncio runs"):
        program(node).send(None)

    async def main():
        slow = node.submit(lambda node: node.submit("hang", inout(node.tensor(1))))

        async def inside(node):
            await slow

        try:
            with pytest.raises(troupe.Error, match="nothing of troupe's"):
                node.run(inside)  # which holds up the loop, so it may not wait for what the loop does
        finally:
            slow.cancel()

    asyncio.run(main())

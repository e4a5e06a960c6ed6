"""Nothing is left behind: objects, memory, descriptors, threads; over thousands of runs."""

import gc
import os
import resource
import sys

import numpy as np

import troupe
from troupe import in_, inout, out, scalar


def test_objects_of_a_run_go_with_it(node):
    class Payload:
        alive = 0

        def __init__(self):
            Payload.alive += 1

        def __del__(self):
            Payload.alive -= 1

    async def program(node, payload, fail):
        x = node.tensor(4)
        node.submit_sub(lambda a, payload=payload: None, inout(x))
        await node.drained()
        if fail:
            raise ValueError(payload)
        return payload

    for i in range(200):
        try:
            node.run(program, Payload(), i % 2 == 1)
        except troupe.Error:
            pass
    while Payload.alive != 0:
        node.run(lambda node: None)  # what other threads let go is cleared by who comes next
        gc.collect()


def test_arrays_are_let_go(node):
    x = np.ones(1000, "f4")
    before = sys.getrefcount(x)
    for _ in range(100):
        node.run(lambda node: node.submit("scale", inout(x[1:]), scalar(1.0)))
        assert sys.getrefcount(x) == before


def test_memory_and_descriptors_do_not_grow_over_ten_thousand_runs(node):
    x, y = np.ones(64, "f4"), np.ones(64, "f4")

    async def waits(node):
        z = node.alloc(64)
        node.submit("add", in_(x), in_(y), out(z))
        await node.read(z)

    def plain(node):
        node.submit("scale", inout(x), scalar(1.0))

    def some(times):
        for i in range(times):
            node.run(plain if i % 2 else waits)

    some(1000)
    gc.collect()
    files, memory = len(os.listdir("/proc/self/fd")), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    some(10000)
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= files + 2
    # KiB; a leak of 1 KiB in each run would be 10 MiB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 6000


def test_systems_come_and_go():
    threads = len(os.listdir("/proc/self/task"))
    for _ in range(20):
        with troupe.System(chips=1) as system:
            system.node().run(lambda node: node.submit_sub(lambda a: None, inout(node.tensor(1))))
    gc.collect()
    assert len(os.listdir("/proc/self/task")) <= threads + 2

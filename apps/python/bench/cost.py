"""What Python costs beside C++, in turns: PYTHONPATH=build/release/python python3 apps/python/bench/cost.py

A submit of a task with three tensors; a run of an empty program; a run of 256 tasks over two chips; the import; an array of
256 MiB handed over. Medians of each round; the median over the rounds is shown.
"""

import os
import statistics
import subprocess
import sys
import time

import numpy as np

import troupe
from troupe import in_, inout, out

PEER = sys.argv[1] if len(sys.argv) > 1 else "build/release/bin/bench_python_peer"


def took(work):
    begin = time.perf_counter_ns()
    work()
    return time.perf_counter_ns() - begin


def here(node):
    a, b, c = (node.tensor(16) for _ in range(3))
    na, nb, nc = (np.zeros(16, "f4") for _ in range(3))
    submits = 2000

    def submit_of(x, y, z):
        def program(node):
            begin = time.perf_counter_ns()
            for _ in range(submits):
                node.submit("nothing", in_(x), in_(y), out(z))
            return (time.perf_counter_ns() - begin) / submits

        return statistics.median(node.run(program) for _ in range(15))

    def tasks(node):
        for i in range(256):
            node.submit("nothing", inout(b if i % 2 else a), on_chip=i % 2)

    async def nothing(node):
        pass

    return {
        "submit": submit_of(a, b, c),
        "submit of arrays": submit_of(na, nb, nc),
        "run": statistics.median(took(lambda: node.run(lambda node: None)) for _ in range(500)),
        "run of async def": statistics.median(took(lambda: node.run(nothing)) for _ in range(500)),
        "run of 256 tasks": statistics.median(took(lambda: node.run(tasks)) for _ in range(50)),
    }


def import_time(what):
    script = f"import time; t = time.perf_counter(); import {what}; print(time.perf_counter() - t)"
    return float(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout)


def main():
    with troupe.System(chips=2) as system:
        node = system.node()
        node.load(troupe.kernel("TROUPE_KERNEL(nothing)(KernelArgs&) {}"))
        mine, peers = [], []
        for _ in range(5):
            peers.append([float(x) for x in subprocess.run([PEER], capture_output=True, text=True, check=True).stdout.split()])
            mine.append(here(node))
        python = {key: statistics.median(one[key] for one in mine) for key in mine[0]}
        submit, run, tasks, coroutine = (statistics.median(column) for column in zip(*peers))
        large = np.zeros(64 << 20, "f4")
        handed = statistics.median(took(lambda: in_(large)) for _ in range(100))
    print(f"{'':34}{'Python':>12}{'C++':>12}")
    rows = [("submit", submit), ("submit of arrays", submit), ("run", run), ("run of async def", coroutine), ("run of 256 tasks", tasks)]
    for key, peer in [*rows, ("run of async def", run)]:
        value = python[key]
        title = f"{key}, beside a plain one" if (key, peer) not in rows else key
        print(f"{title:34}{value / 1e3:9.2f} µs{peer / 1e3:9.2f} µs   {value / peer:5.2f} x, {(value - peer) / 1e3:+.2f} µs")
    print(f"{'in_ of an array of 256 MiB':34}{handed / 1e3:9.2f} µs")
    for what in ["troupe", "numpy"]:
        seconds = statistics.median(import_time(what) for _ in range(7))
        print(f"{'import ' + what:34}{seconds * 1e3:9.1f} ms")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


main()

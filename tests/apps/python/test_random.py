"""Random programs, each a script: what troupe computes from Python is what the lines compute one after the other, says an
oracle in C++ (kernels.cpp) that knows nothing of troupe, and what numpy computes."""

import ctypes
import os
import random

import numpy as np
import pytest

import troupe
from conftest import KERNELS
from troupe import Slot, in_, inout, out, scalar

SCALE = int(os.environ.get("TROUPE_RANDOM_SCALE", "1"))


def part_of(rng, array):
    """How to take a random view, of the array and of its twin; and which rows and columns it has."""
    rows = sorted(rng.sample(range(array.shape[0] + 1), 2))
    kind = rng.randrange(4)
    if kind == 0:
        return (lambda a: a), (0, 6, 0, 6)
    if kind == 1:
        return (lambda a: a[rows[0] : rows[1]]), (*rows, 0, 6)
    if kind == 2:
        columns = sorted(rng.sample(range(array.shape[1] + 1), 2))
        return (lambda a: a[:, columns[0] : columns[1]]), (0, 6, *columns)
    return (lambda a: a.T), (0, 6, 0, 6)


WHOLE = (lambda a: a), (0, 6, 0, 6)


def oracle(script, arrays):
    """The same lines in C++, on a copy of the arrays."""
    run = ctypes.CDLL(KERNELS).troupe_python_oracle
    run.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t]
    memory = np.stack(arrays)
    words = {"function": "scale"}
    text = "\n".join(f"{words.get(kind, kind)} {x} {y} {by} {' '.join(map(str, view[1]))}" for kind, x, y, view, by in script)
    assert run(text.encode(), memory.ctypes.data, len(arrays), 6, 6) == len(script)
    return list(memory)


def program_of(rng, steps, borrowed):
    """Steps, each as something that submits and something that does the same to numpy arrays."""
    script = []
    for _ in range(steps):
        x, y = rng.randrange(4), rng.randrange(4)
        kind = rng.randrange(6)
        by = float(rng.choice([0.5, 2, -1, 3]))
        if kind < 2:
            view = part_of(rng, np.empty((6, 6))) if borrowed or rng.random() < 0.5 else WHOLE
            script.append(("scale", x, y, view, by))
        elif kind == 2 and x != y:
            script.append(("copy", x, y, WHOLE, by))
        elif kind == 3:
            script.append(("fill", x, y, WHOLE, by))
        elif kind == 4:
            script.append(("function", x, y, WHOLE, by))
        else:
            script.append(("add", x, y, WHOLE, by))
    return script


def multiply(x, by):
    x *= np.float32(by)


def submit(node, rng, arrays, line, chips=2):
    kind, x, y, view, by = line
    where = {"on_chip": rng.randrange(chips)} if rng.random() < 0.3 else {}
    if kind == "scale":
        part = view[0](arrays[x])
        if 0 not in part.shape:
            node.submit("scale", inout(part), scalar(by), **where)
    elif kind == "copy":
        node.copy(arrays[x], arrays[y])
    elif kind == "fill":
        node.fill(arrays[x], by)
    elif kind == "function":
        node.submit_sub(multiply, inout(arrays[x]), scalar(by))
    else:
        total = node.alloc((6, 6))
        node.submit("add", in_(arrays[x]), in_(arrays[y]), out(total), **where)
        node.copy(arrays[x], total)


def apply(arrays, line):
    kind, x, y, view, by = line
    if kind in ("scale", "function"):
        part = view[0](arrays[x])
        part *= np.float32(by)
    elif kind == "copy":
        arrays[x][:] = arrays[y]
    elif kind == "fill":
        arrays[x][:] = by
    else:
        arrays[x][:] = arrays[x] + arrays[y]


@pytest.mark.parametrize("borrowed", [True, False], ids=["arrays", "tensors"])
@pytest.mark.parametrize("form", ["plain", "async"])
@pytest.mark.parametrize("seed", range(10 * SCALE))
def test_random_programs_compute_what_their_lines_compute(system, seed, form, borrowed):
    rng = random.Random(f"{seed} {form} {borrowed}")
    in_python = lambda task, chips: chips[task.bytes % len(chips)]
    placement = rng.choice([None, "earliest_finish", "least_loaded", "where_the_data_is", in_python])
    node = system.node(placement=placement)
    node.load(KERNELS)
    start = [np.arange(36, dtype="f4").reshape(6, 6) + 100 * i for i in range(4)]
    wanted = [a.copy() for a in start]
    if borrowed:
        given = [a.copy() for a in start]
    else:
        given = [node.tensor((6, 6)) for _ in start]
        for tensor, array in zip(given, start):
            tensor.numpy()[:] = array
    for _ in range(rng.randrange(1, 4)):
        script = program_of(rng, rng.randrange(1, 25), borrowed)
        looks = [rng.random() < 0.1 for _ in script]
        seen = []

        def plain(node):
            for line, look in zip(script, looks):
                submit(node, rng, given, line)
                if look:
                    seen.append(node.read_all(given[line[1]]).get())

        async def waiting(node):
            for line, look in zip(script, looks):
                submit(node, rng, given, line)
                if look:
                    seen.append(await node.read_all(given[line[1]]))

        node.run(plain if form == "plain" else waiting)
        expected, of_oracle = [], oracle(script, wanted)
        with np.errstate(all="ignore"):
            for line, look in zip(script, looks):
                apply(wanted, line)
                if look:
                    expected.append(wanted[line[1]].copy())
        for got, want in zip(seen, expected, strict=True):
            np.testing.assert_array_equal(got, want)
        for i, want in enumerate(wanted):
            np.testing.assert_array_equal(of_oracle[i], want, err_msg=f"seed {seed}, array {i}, {script}")
            got = given[i] if borrowed else given[i].numpy(writable=rng.random() < 0.5)
            np.testing.assert_array_equal(got, want, err_msg=f"seed {seed}, array {i}, {script}")


def with_factor(script, factor):
    """The script with another number where it has a slot: in each line that scales."""
    return [(kind, x, y, view, factor if kind == "scale" else by) for kind, x, y, view, by in script]


@pytest.mark.parametrize("borrowed", [True, False], ids=["arrays", "tensors"])
@pytest.mark.parametrize("chips", [1, 2])
@pytest.mark.parametrize("seed", range(10 * SCALE))
def test_random_programs_recorded_as_plans_compute_the_same(seed, chips, borrowed):
    rng = random.Random(f"plan {seed} {chips} {borrowed}")
    start = [np.arange(36, dtype="f4").reshape(6, 6) + 100 * i for i in range(4)]
    wanted = [a.copy() for a in start]
    with troupe.System(chips=2, sub_workers=1) as system:
        node = system.node(chips=chips)
        node.load(KERNELS)
        given = [a.copy() for a in start]
        if not borrowed:
            given = [node.tensor((6, 6)) for _ in start]
            for tensor, array in zip(given, start):
                tensor.numpy()[:] = array
        script = [line for line in program_of(rng, rng.randrange(2, 20), True) if 0 not in line[3][0](start[0]).shape]
        script.append(("scale", 0, 1, WHOLE, 1.0))
        places = [rng.randrange(chips) if rng.random() < 0.4 else None for _ in script]

        def recorded(node, *parameters):
            *arrays, factor = parameters
            for (kind, x, y, view, by), place in zip(script, places):
                if kind == "scale":
                    node.submit("scale", inout(view[0](arrays[x])), scalar(factor), on_chip=place)
                else:
                    submit(node, rng, arrays, (kind, x, y, view, by), chips)

        factors = [float(rng.choice([0.5, -1, 1])) for _ in range(4)]
        plan = node.record(recorded, *given, Slot(factors[0]))
        node.run(plan, *given, factors[1])

        async def around(node):
            first = node.submit(plan, *(inout(x) for x in given), factors[2])
            for line in script[:3]:
                submit(node, rng, given, line, chips)
            if rng.random() < 0.5:
                await first
            await node.submit(plan, *given, factors[3])

        node.run(around)
        lines = [line for factor in factors[:3] for line in with_factor(script, factor)]
        lines += script[:3] + with_factor(script, factors[3])
        of_oracle = oracle(lines, wanted)
        with np.errstate(all="ignore"):
            for line in lines:
                apply(wanted, line)
        for i, want in enumerate(wanted):
            got = given[i] if borrowed else given[i].numpy()
            np.testing.assert_array_equal(of_oracle[i], want)
            np.testing.assert_array_equal(got, want, err_msg=f"seed {seed}, array {i}, {script}, {factors}")

"""Random programs, through the surface and one step after the other in Python: the same memory."""

import array
import os
import random

import pytest
from compat_support import IN, INOUT, OUT, of, packed, shared, task

from simpler.task_interface import DataType, TensorArgType

N = 6
SCALE = int(os.environ.get("TROUPE_RANDOM_SCALE", "1"))
SEED = int(os.environ.get("TROUPE_SEED", "20261130"))


def add_up(args):
    views = [memoryview(arg.buffer).cast("f") for arg in args]
    step = [arg.strides[0] for arg in args]
    for i in range(args[-1].shapes[0]):
        views[-1][i * step[-1]] = sum(view[i * s] for view, s in zip(views[:-1], step))


class Program:
    """Steps over buffers of the host, of the run, and of both chips; parts of them, some with strides."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        pick = self.random
        self.start = [[float(pick.randrange(8)) for _ in range(2 * N)] for _ in range(4)]
        self.steps = [self.step() for _ in range(pick.randrange(2, 14))]

    def part(self, place):
        """(which buffer, first element, stride)"""
        stride = self.random.choice([1, 1, 2])
        first = self.random.choice([0, 1, N] if stride == 1 else [0, 1])
        return (place, first, stride)

    def step(self):
        pick = self.random
        kind = pick.choice(["chip", "chip", "sub", "group", "device"])
        chip = pick.randrange(2)
        if kind == "group":
            places = pick.sample(range(5), 4)
            return kind, chip, [self.part(places[0]), self.part(places[1]), self.part(places[2]), self.part(places[3])]
        if kind == "device":
            # Over memory of the chip (5 and 6), which sees one buffer of all.
            mine = 5 + chip
            there = [(mine, pick.choice([0, N]), 1) for _ in range(2)]
            there = there if there[0] != there[1] else [(mine, 0, 1), (mine, N, 1)]
            return kind, chip, [self.part(pick.randrange(5)), there[0], there[1]]
        a, b = pick.randrange(5), pick.randrange(5)
        c = pick.choice([i for i in range(5) if i not in (a, b)])
        return kind, chip, [self.part(a), self.part(b), self.part(c)]

    def expected(self):
        memory = [list(values) for values in self.start] + [[0.0] * (2 * N) for _ in range(3)]

        def add(a, b, c):
            made = [memory[a[0]][a[1] + i * a[2]] + memory[b[0]][b[1] + i * b[2]] for i in range(N)]
            for i in range(N):
                memory[c[0]][c[1] + i * c[2]] = made[i]

        for kind, _, parts in self.steps:
            if kind == "group":
                before = [list(values) for values in memory]
                made = [[before[parts[0][0]][parts[0][1] + i * parts[0][2]] + before[parts[k][0]][parts[k][1] + i * parts[k][2]]
                         for i in range(N)] for k in (0, 1)]
                for k in (0, 1):
                    to = parts[2 + k]
                    for i in range(N):
                        memory[to[0]][to[1] + i * to[2]] = made[k][i]
            else:
                add(*parts)
        return memory

    def run(self, w, add, sub, device, memory):
        for one, values in zip(memory, self.start):
            memoryview(one).cast("B").cast("f")[:] = memoryview(array.array("f", values))
        zeros = w.create_buffer(8 * N)
        for chip in range(2):
            w.copy_to(device[chip], zeros)

        def orch_fn(orch, args, cfg):
            between = orch.alloc((2 * N,), DataType.FLOAT32)
            buffers = [w.make_tensor_arg(one, (2 * N,), 0).buffer for one in memory] + [between] + device

            def view(part):
                return buffers[part[0]].tensor((N,), DataType.FLOAT32, strides=(part[2],), byte_offset=4 * part[1])

            # What nothing has written yet is zero, as chips' memory.
            whole = [buffer.tensor((2 * N,), DataType.FLOAT32) for buffer in buffers]
            nothing = zeros.tensor((2 * N,), DataType.FLOAT32)
            orch.submit_sub(sub, task(w, (nothing, IN), (whole[4], TensorArgType.OUTPUT)))
            for kind, chip, parts in self.steps:
                tensors = [view(part) for part in parts]
                if kind == "sub":
                    orch.submit_sub(sub, task(w, (tensors[0], IN), (tensors[1], IN), (tensors[2], OUT)))
                elif kind == "group":
                    orch.submit_next_level_group(add, [task(w, (tensors[0], IN), (tensors[k], IN), (tensors[2 + k], OUT))
                                                       for k in (0, 1)], cfg, workers=[chip, 1 - chip])
                else:
                    orch.submit_next_level(add, task(w, (tensors[0], IN), (tensors[1], IN), (tensors[2], OUT)), cfg,
                                           worker=chip)
            orch.submit_sub(sub, task(w, (whole[4], IN), (last.tensor((2 * N,), DataType.FLOAT32), OUT)))

        last = w.create_buffer(8 * N)
        w.run(orch_fn)
        found = [of(one) for one in memory] + [memoryview(last.shm.buf).cast("B")[:8 * N].cast("f").tolist()]
        for chip in range(2):
            w.copy_from(zeros, device[chip])
            found.append(memoryview(zeros.shm.buf)[:8 * N].cast("f").tolist())
        for buffer in (zeros, last):
            w.release_buffer(buffer)
        return found


@pytest.mark.parametrize("runtime", ["tmr", "hbg"])
def test_random_programs_leave_the_memory_of_their_steps(worker, runtime):
    w = worker(3, init=False, runtime=runtime, device_ids=[0, 1], num_sub_workers=2)
    add, sub = w.register(packed("add", runtime)), w.register(add_up)
    memory = [shared([0] * (2 * N)) for _ in range(4)]  # of before the children
    w.init()
    device = [w.alloc_child_tensor(chip, (2 * N,), DataType.FLOAT32) for chip in range(2)]
    for seed in range(SEED, SEED + 60 * SCALE):
        program = Program(seed)
        assert program.run(w, add, sub, device, memory) == program.expected(), f"TROUPE_SEED={seed}: {program.steps}"


def test_inout_arguments_keep_their_order(worker):
    w = worker(3, init=False, device_ids=[0, 1])
    chip = w.register(packed("add_to"))
    w.init()
    x, one = shared([0] * 4), shared([1] * 4)

    def orch_fn(orch, args, cfg):
        for i in range(40):
            orch.submit_next_level(chip, task(w, (x, INOUT), (one, IN)), cfg, worker=i % 2)

    w.run(orch_fn)
    assert of(x) == [40] * 4

"""Messages between an orchestration function and a task that runs meanwhile on its chip."""

import os
import random
import struct

import pytest
from compat_support import IN, OUT, of, packed, program, shared, task

from simpler.worker_chip_message_queue import WorkerChipQueueOpcode

_IN_TAIL, _IN_HEAD = 0, 64


def test_a_chip_answers_while_the_function_goes_on(worker, platform, runtime):
    w = worker(3, init=False, platform=platform, runtime=runtime, device_ids=[0, 1])
    h, add = w.register(program("queue", [], runtime)), w.register(packed("add", runtime))
    w.init()
    got, out, one = [], shared([0] * 4), shared([1] * 4)

    def orch_fn(orch, args, cfg):
        queues = [orch.create_worker_chip_queue(worker_id=i, depth=4, input_arena_bytes=64, output_arena_bytes=64)
                  for i in range(2)]
        for i, queue in enumerate(queues):
            scalars = queue.chip_task_arg_scalars()
            assert len(scalars) == 12
            orch.submit_next_level(h, task(w, scalars=scalars), cfg, worker=i)
        for number in range(20):
            for queue in queues:
                queue.send(bytes([number] * (1 + number)), timeout=60)
                got.append(queue.receive(timeout=60))
        for queue in queues:
            queue.stop()
        orch.submit_next_level(add, task(w, (one, IN), (one, IN), (out, OUT)), worker=0)

    w.run(orch_fn)
    assert got == [(WorkerChipQueueOpcode.DATA, bytes([n + 1] * (1 + n))) for n in range(20) for _ in range(2)]
    assert of(out) == [2] * 4
    got.clear()
    w.submit(orch_fn).wait(timeout=120)
    assert len(got) == 40


def test_regions_are_counters_and_a_payload(worker):
    w = worker(3, device_ids=[0])

    def orch_fn(orch, args, cfg):
        region = orch.create_worker_chip_region(worker_id=0, payload_bytes=100, counter_bytes=128)
        magic, _, payload, nbytes, counters, counter_bytes = region.chip_task_arg_scalars()
        assert magic == 0x4C334C32 << 32 | 3 << 16 and counters % 64 == 0
        assert (nbytes, counter_bytes) == (100, 128) and counters >= payload + 100
        region.write(10, b"abc")
        assert region.read(9, 5) == b"\0abc\0"
        region.notify(64, 7)
        assert region.counter(64) == 7 and region.test(64, 7) and not region.test(64, 8)
        for at in (-4, 2, 128):
            with pytest.raises(ValueError):
                region.counter(at)
        for at, nbytes in ((-4, 4), (-4, 2), (97, 4), (101, 0), (4, -1), (1 << 40, 1)):
            with pytest.raises(ValueError):
                region.read(at, nbytes)
            if nbytes >= 0:
                with pytest.raises(ValueError):
                    region.write(at, b"x" * nbytes)
        region.write(96, b"last")
        assert region.read(96, 4) == b"last" and region.read(100, 0) == b"" and region.counter(0) == 0
        for wrong in (0, 3, 6):
            with pytest.raises(ValueError):
                orch.create_worker_chip_queue(worker_id=0, depth=wrong, input_arena_bytes=64, output_arena_bytes=64)

    w.run(orch_fn)


def test_a_function_may_wait_for_what_a_sub_worker_writes(worker):
    flag = shared([0])
    w = worker(3, init=False, num_sub_workers=1)

    def raises_it(args):
        memoryview(args[0].buffer).cast("f")[0] = 1

    sub = w.register(raises_it)
    w.init()

    def orch_fn(orch, args, cfg):
        orch.submit_sub(sub, task(w, (flag, OUT)))
        while of(flag) != [1]:
            os.sched_yield()

    w.run(orch_fn)
    memoryview(flag).cast("B")[:] = bytes(4)
    w.submit(orch_fn).wait(timeout=120)


def test_a_message_waits_until_the_chip_has_read_what_lies_where_its_bytes_go(worker):
    w = worker(3, device_ids=[0])

    def orch_fn(orch, args, cfg):
        queue = orch.create_worker_chip_queue(worker_id=0, depth=8, input_arena_bytes=100, output_arena_bytes=64)
        region, slots = queue.region, 2 * 8 * 32

        def arena():
            return region.read(slots, 100)

        def sent():
            return region.counter(_IN_TAIL)

        queue.send(b"A" * 60)
        with pytest.raises(TimeoutError):
            queue.send(b"B" * 60, timeout=0)
        assert arena() == b"A" * 60 + bytes(40) and sent() == 1
        queue.send(b"C" * 40, timeout=0)  # fits behind it
        queue.send(b"", timeout=0)  # takes no room
        assert arena() == b"A" * 60 + b"C" * 40 and sent() == 3
        with pytest.raises(TimeoutError):
            queue.send(b"D", timeout=0)
        region.notify(_IN_HEAD, 1)
        queue.send(b"D" * 60, timeout=0)
        assert arena() == b"D" * 60 + b"C" * 40 and sent() == 4
        with pytest.raises(TimeoutError):
            queue.send(b"E" * 60, timeout=0)  # would begin anew, where D lies
        region.notify(_IN_HEAD, 2)
        queue.send(b"E" * 40, timeout=0)
        region.notify(_IN_HEAD, 5)
        queue.send(b"F" * 100, timeout=0)
        with pytest.raises(TimeoutError):
            queue.send(b"G", timeout=0)
        assert arena() == b"F" * 100 and sent() == 6

    w.run(orch_fn)


def test_what_a_chip_has_not_read_stays_whatever_is_sent(worker):
    """A reader of random speed sees every message as it was sent, and the sender never waits for what it need not."""
    w, draws = worker(3, device_ids=[0]), random.Random(7)

    def orch_fn(orch, args, cfg):
        for arena in (1, 7, 64):
            queue = orch.create_worker_chip_queue(worker_id=0, depth=4, input_arena_bytes=arena, output_arena_bytes=64)
            region, waiting, taken = queue.region, [], 0
            for number in range(300):
                message = bytes([number % 251]) * draws.randint(0, arena)
                while True:
                    try:
                        queue.send(message, timeout=0)
                        break
                    except TimeoutError:
                        assert waiting, "an empty queue takes every message"
                        at = taken % 4 * 32
                        _, _, offset, nbytes = struct.unpack("<QQQQ", region.read(at, 32))
                        assert region.read(2 * 4 * 32 + offset, nbytes) == waiting.pop(0)
                        taken += 1
                        region.notify(_IN_HEAD, taken)
                waiting.append(message)

    w.run(orch_fn)


def test_regions_and_queues_go_with_their_run(worker):
    w = worker(3, device_ids=[0, 1])
    made, sizes = [], []

    def orch_fn(orch, args, cfg):
        queue = orch.create_worker_chip_queue(worker_id=1, depth=4, input_arena_bytes=1000, output_arena_bytes=1000)
        region = orch.create_worker_chip_region(worker_id=0, payload_bytes=100, counter_bytes=128)
        early = orch.create_worker_chip_region(worker_id=0, payload_bytes=100, counter_bytes=128)
        early.close()
        early.close()
        made.append((queue, region))
        sizes.append([w.committed_device_memory(chip) for chip in (0, 1)])

    def fails(orch, args, cfg):
        orch_fn(orch, args, cfg)
        raise KeyError("on purpose")

    w.run(orch_fn)
    w.submit(orch_fn).wait(timeout=120)
    with pytest.raises(KeyError):
        w.run(fails)
    assert sizes[0][0] >= 228 and sizes[0][1] > 2000 and sizes == [sizes[0]] * 3
    assert [w.committed_device_memory(chip) for chip in (0, 1)] == [0, 0]
    for queue, region in made:
        for late in (lambda: region.counter(0), lambda: region.notify(0, 1), lambda: region.test(0, 1),
                     lambda: region.read(0, 1), lambda: region.write(0, b"x"), lambda: queue.send(b"x", timeout=0),
                     lambda: queue.receive(timeout=0), queue.abort):
            with pytest.raises(RuntimeError, match="region .* is closed"):
                late()

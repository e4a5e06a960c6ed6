"""Memory in all the ways in which scripts have it."""

import array
import ctypes
import mmap
import threading

import pytest
from compat_support import IN, INOUT, OUT, RUNTIMES, code_of, floats, of, packed, shared, task

from simpler.buffer import AccessMode, AddressSpace, BackendKind
from simpler.task_interface import CallConfig, DataType, TaskArgs, TensorArgType
from simpler.worker import Worker

F = DataType.FLOAT32


def test_host_memory_that_is_no_argument_is_refused(worker):
    w = worker(2)
    x = floats(*range(8))
    strided = memoryview(x)[::2]
    for wrong in (strided, object(), 5, None):
        with pytest.raises((ValueError, TypeError)):
            w.make_tensor_arg(wrong, (4,), F.value)
    for shape, strides in (((9,), None), ((3, 3), None), ((0,), None), ((2, 2, 2, 1, 1, 1), None), ((2, 2), (8, 0)), ((4,), (3,))):
        with pytest.raises(ValueError):
            w.make_tensor_arg(x, shape, F.value, strides=strides)
    for dtype in (15, 99, -1):
        with pytest.raises((ValueError, TypeError)):
            w.make_tensor_arg(x, (1,), dtype)
    read_only = w.make_tensor_arg(bytes(16), (4,), F.value)
    args = TaskArgs()
    args.add_tensor(read_only, IN)
    for tag in (OUT, INOUT):
        with pytest.raises(ValueError):
            TaskArgs().add_tensor(read_only, tag)
    TaskArgs().add_tensor(read_only, TensorArgType.NO_DEP)


def test_a_copy_beside_a_run_and_runs_of_several_threads(worker, runtime):
    w = worker(2, runtime=runtime)
    h = w.register(packed("add", runtime))
    memory = [w.malloc(16) for _ in range(4)]
    failed = []

    def go(i):
        try:
            for round in range(10):
                w.copy_to(memory[i], floats(*[i + round] * 4))
                c = floats(*[0] * 4)
                args = task(w, (memory[i].tensor((4,), F), IN), (memory[i].tensor((4,), F), IN), (c, OUT))
                w.submit(h, args).wait(timeout=120) if round % 2 else w.run(h, args)
                assert list(c) == [2 * (i + round)] * 4
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=go, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_intermediates_of_any_number_and_size(worker, runtime):
    ones, out = shared([1] * 64), shared([0] * 64)
    w = worker(3, init=False, runtime=runtime, device_ids=[0, 1], num_sub_workers=1, heap_ring_size=1 << 16)
    add = w.register(packed("add", runtime))
    w.init()

    def orch_fn(orch, args, cfg):
        with pytest.raises(ValueError):
            orch.alloc((0,), F)
        with pytest.raises(ValueError):
            orch.alloc((1,) * 6, F)
        last = w.make_tensor_arg(ones, (64,), F.value)
        for i in range(30):
            with orch.scope():
                # Some do not fit the heap at all.
                piece = orch.alloc((64,) if i % 10 else (1 << 18,), F)
                assert piece.address_space == AddressSpace.HOST and piece.access == AccessMode.READWRITE
                made = piece.tensor((64,), F, byte_offset=0)
                orch.submit_next_level(add, task(w, (last, IN), (ones, IN), (made, OUT)), worker=i % 2)
                last = made
        orch.submit_next_level(add, task(w, (last, IN), (ones, IN), (out, OUT)), worker=0)

    for _ in range(3):
        w.run(orch_fn)
        assert of(out) == [32] * 64


def test_memory_of_a_chip_at_level_3(worker):
    w = worker(3, device_ids=[0, 1])
    host = w.create_buffer(64)
    memory = w.alloc_child_tensor(1, (4, 4), F)
    assert memory.address_space == AddressSpace.DEVICE and memory.backend_kind == BackendKind.DEVICE_MALLOC
    assert memory.nbytes == 64 and memory.owner_worker_id == 1
    view = memoryview(host.shm.buf)[:64].cast("f")
    view[:] = floats(*range(16))
    w.copy_to(memory, host)
    view[:] = floats(*[0] * 16)
    w.copy_from(host, memory)
    assert view.tolist() == list(range(16))
    del view
    for wrong in (lambda: w.alloc_child_tensor(2, (1,), F), lambda: w.alloc_child_tensor(0, (0,), F),
                  lambda: w.copy_to(host, memory), lambda: w.copy_from(memory, host), lambda: w.copy_to(memory, bytearray(64)),
                  lambda: w.free(host), lambda: w.release_buffer(memory)):
        with pytest.raises((ValueError, TypeError, RuntimeError)):
            wrong()
    w.free(memory)
    with pytest.raises(ValueError):
        w.free(memory)
    with pytest.raises(ValueError):
        w.copy_to(memory, host)
    w.release_buffer(host)
    with pytest.raises(ValueError):
        w.release_buffer(host)


def test_arguments_may_be_filled_once_more(worker):
    outs, ones = [shared([0] * 4) for _ in range(4)], shared([1] * 4)
    w = worker(3, init=False, device_ids=[0, 1])
    add, scaled = w.register(packed("add")), w.register(packed("chain"))
    w.init()

    def orch_fn(orch, args, cfg):
        a = task(w, (ones, IN), (ones, IN), (outs[0], OUT))
        for _ in range(3):
            orch.submit_next_level(add, a, cfg, worker=0)
        a.clear()
        for memory, tag in ((ones, IN), (outs[0], IN), (outs[1], OUT)):
            a.add_tensor(w.make_tensor_arg(memory, (4,), F.value), tag)
        orch.submit_next_level(add, a, cfg, worker=0)
        orch.submit_next_level(add, a, cfg, worker=1)
        a.add_scalar(0x40000000)
        orch.submit_next_level(scaled, a, cfg, worker=1)
        a.set_tag(2, INOUT)
        config = CallConfig()
        config.runtime_env.ring_task_window = 64
        orch.submit_next_level(scaled, a, config, worker=1)
        orch.submit_next_level(add, task(w, (outs[1], IN), (ones, IN), (outs[2], OUT)), worker=1)

    for _ in range(2):
        w.run(orch_fn)
        assert of(outs[0]) == [2] * 4 and of(outs[1]) == [7] * 4 and of(outs[2]) == [8] * 4


def test_what_was_closed_is_not_an_argument_any_more(worker):
    w = worker(3, init=False, device_ids=[0])
    add = w.register(packed("add"))
    w.init()
    a, b = w.create_buffer(16), w.create_buffer(16)
    args = task(w, (a.tensor((4,), F), IN), (a.tensor((4,), F), IN), (b.tensor((4,), F), OUT))

    def orch_fn(orch, _, cfg):
        orch.submit_next_level(add, args, cfg, worker=0)
        orch.submit_next_level(add, args, cfg, worker=0)

    w.run(orch_fn)
    w.release_buffer(a)
    with pytest.raises(ValueError):
        w.run(orch_fn)
    w.unregister(add)
    with pytest.raises(KeyError):
        w.run(orch_fn)


def address_of(memory):
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


class Lent:
    """An object that is a number, too, as arrays with one element are."""

    def __init__(self, memory):
        self.memory = memory
        self.shape = (len(memory),)

    def __index__(self):
        return 16

    def data_ptr(self):
        return address_of(self.memory)

    def numel(self):
        return len(self.memory)

    def element_size(self):
        return 1

    def is_contiguous(self):
        return True


@pytest.mark.parametrize("level", [2, 3])
def test_a_copy_is_no_larger_than_what_is_on_either_side(worker, level):
    w = worker(level, **({"device_ids": [0]} if level == 3 else {}))
    memory = w.malloc(64) if level == 2 else w.alloc_child_tensor(0, (64,), DataType.UINT8)
    owned = w.create_buffer(16)
    part = memory.tensor((16,), DataType.UINT8, byte_offset=16)
    beyond = bytearray(b"h" * 64)
    hosts = [owned, owned.tensor((8,), DataType.UINT8), owned.tensor((4,), F)]
    if level == 2:
        hosts += [bytearray(16), floats(0, 0, 0, 0), memoryview(beyond)[:16], Lent(bytearray(16))]

    def content():
        found = bytearray(64)
        w.copy_from(found if level == 2 else address_of(found), memory, 64)
        return found

    filled = bytearray(b"c" * 64)
    w.copy_to(memory, address_of(filled), 64)
    for host in hosts:
        for size in (17, 64, 1 << 40, -1):
            for there in (memory, memory.base, part):
                with pytest.raises(ValueError):
                    w.copy_to(there, host, size)
                with pytest.raises(ValueError):
                    w.copy_from(host, there, size)
        w.copy_to(part, host, 0)
        w.copy_from(host, part, 3)
    with pytest.raises(ValueError):
        w.copy_to(memory, owned.tensor((8,), DataType.UINT8), 9)
    # A tensor of the chip's is not more than it says, though its buffer goes on.
    more = w.create_buffer(17)
    for host in (more, address_of(beyond)):
        for size in (17,) if isinstance(host, int) else (17, None):
            with pytest.raises(ValueError, match="17 bytes .*16"):
                w.copy_to(part, host, size)
            with pytest.raises(ValueError, match="17 bytes .*16"):
                w.copy_from(host, part, size)
    assert content() == b"c" * 64 and beyond[16:] == b"h" * 48
    w.copy_to(part, address_of(beyond) + 16, 16)
    assert content() == b"c" * 16 + b"h" * 16 + b"c" * 32
    if level == 2:
        w.copy_to(memory, Lent(bytearray(b"l" * 16)), size=8)
        assert content()[:17] == b"l" * 8 + b"c" * 8 + b"h"
    else:

        def orch_fn(orch, args, cfg):
            for wrong in (lambda: orch.copy_to(0, memory, owned, 17), lambda: orch.copy_from(0, owned, memory, 17),
                          lambda: orch.copy_to(part, more), lambda: orch.copy_from(more, part)):
                with pytest.raises(ValueError):
                    wrong()

        w.run(orch_fn)
        assert content() == b"c" * 16 + b"h" * 16 + b"c" * 32

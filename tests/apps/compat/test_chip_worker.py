"""The chip worker: one chip in one process, and ranks that communicate, in both generations."""

import array
import ctypes
import mmap
import os
import struct
from types import SimpleNamespace

import pytest
from compat_support import RUNTIMES, floats, packed

from simpler.task_interface import (
    CHIP_BOOTSTRAP_MAILBOX_SIZE,
    CallConfig,
    ChipBootstrapChannel,
    ChipBootstrapConfig,
    ChipBootstrapMailboxState,
    ChipBufferSpec,
    ChipCommBootstrapConfig,
    ChipStorageTaskArgs,
    ChipTensor,
    ChipWorker,
    ContinuousTensor,
    DataType,
    HostBufferStaging,
)


def bins(platform="a2a3sim", runtime="tmr"):
    folder = f"/checkout/build/lib/{platform}/{RUNTIMES[runtime]}"
    return SimpleNamespace(host_path=folder + "/libhost.so", aicpu_path=folder + "/libaicpu.so",
                           aicore_path=folder + "/aicore.o", sim_context_path=folder + "/libsim_context.so")


def by_address(*arrays):
    args = ChipStorageTaskArgs()
    for one in arrays:
        args.add_tensor(ChipTensor.make(one.buffer_info()[0], (len(one),), DataType.FLOAT32))
    return args


def test_a_chip_by_itself(platform, runtime):
    w = ChipWorker()
    with pytest.raises(RuntimeError):
        w.malloc(4)
    w.init(0, bins(platform, runtime))
    with pytest.raises(RuntimeError):
        w.init(0, bins())
    assert w.initialized and w.device_id == 0
    h = w.register_callable(packed("add", runtime))
    assert w.register_callable(packed("add", runtime)) == h
    a, b, c = floats(1, 2), floats(3, 4), floats(0, 0)
    w.run(h, by_address(a, b, c), CallConfig())
    assert c.tolist() == [4, 6]
    x = w.malloc(16)
    w.copy_to(x, a.buffer_info()[0], 8)
    args = ChipStorageTaskArgs()
    for place in (x, x, x + 8):
        args.add_tensor(ChipTensor.make(place, (2,), DataType.FLOAT32, child_memory=True))
    w.run(h, args)
    w.copy_from(c.buffer_info()[0], x + 8, 8)
    assert c.tolist() == [2, 4]
    w.free(x)
    with pytest.raises(AttributeError):
        w.run(h, args, no_such_field=1)
    w.unregister_callable(h)
    with pytest.raises(KeyError):
        w.run(h, args)
    w.finalize()
    w.finalize()
    for after in (lambda: w.malloc(4), lambda: w.init(0, bins())):
        with pytest.raises(RuntimeError):
            after()


def test_a_failed_run_carries_its_code():
    w = ChipWorker()
    w.init(0, bins())
    args = ChipStorageTaskArgs()
    args.add_scalar(4)
    with pytest.raises(RuntimeError, match="run failed with code -4"):
        w.run(w.register_callable(packed("fatal")), args)
    w.finalize()


def test_april_sets_its_device_later_and_runs_callables_themselves():
    w = ChipWorker()
    w.init("/build/lib/a5/sim/libhost.so", "x", "y", "", 1, 5)
    with pytest.raises(RuntimeError, match="set_device"):
        w.malloc(4)
    w.set_device(0)
    assert w.device_set
    with pytest.raises(RuntimeError):
        w.set_device(1)
    a, b, c = floats(1), floats(2), floats(0)
    w.run(packed("add"), by_address(a, b, c), block_dim=24)
    assert c.tolist() == [3]
    w.reset_device()
    w.set_device(0)
    w.run(packed("add"), by_address(b, b, c))
    assert c.tolist() == [4]
    w.finalize()


def ranks(count, work):
    """Runs work(rank) in processes of this one; it returns what is to be true."""
    children = []
    for rank in range(count):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                code = 0 if work(rank) else 2
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(pid)
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children]


def test_ranks_in_processes_add_up():
    n = 16

    def rank_program(rank):
        w = ChipWorker()
        w.init(rank, bins())
        comm = w.comm_init(rank, 2, f"/tmp/compat-ranks-{os.getppid()}")
        context = w.comm_alloc_windows(comm, 4096)
        base = w.comm_get_local_window_base(comm)
        assert w.comm_get_window_size(comm) >= 4096
        w.comm_barrier(comm)
        part = w.comm_derive_context(comm, [0, 1], rank, 64, 2048)
        sums = []
        for ctx, at in ((context, base), (part, base + 64 + 256)):
            x, y = array.array("f", [rank + 1] * n), array.array("f", [0] * n)
            args = ChipStorageTaskArgs()
            args.add_tensor(ChipTensor.make(x.buffer_info()[0], (n,), DataType.FLOAT32))
            args.add_tensor(ChipTensor.make(at, (n,), DataType.FLOAT32, child_memory=True))
            args.add_tensor(ChipTensor.make(y.buffer_info()[0], (n,), DataType.FLOAT32))
            args.add_scalar(2)
            args.add_scalar(ctx)
            w.run(w.register_callable(packed("all_sum")), args)
            sums.append(y.tolist())
        w.comm_barrier(comm)
        w.comm_destroy(comm)
        w.comm_destroy_all()
        w.finalize()
        return sums == [[3.0] * n] * 2

    assert ranks(2, rank_program) == [0, 0]


def test_april_brings_ranks_up_and_tells_through_a_channel():
    n = 8
    from multiprocessing.shared_memory import SharedMemory

    staged = SharedMemory(create=True, size=4 * n)
    staged.buf[:4 * n] = struct.pack(f"{n}f", *range(n))
    mailboxes = mmap.mmap(-1, 2 * CHIP_BOOTSTRAP_MAILBOX_SIZE)
    at = ctypes.addressof(ctypes.c_char.from_buffer(mailboxes))
    channels = [ChipBootstrapChannel(at + CHIP_BOOTSTRAP_MAILBOX_SIZE * rank, 4) for rank in range(2)]

    def rank_program(rank):
        w = ChipWorker()
        w.init("/lib/a2a3/sim/host.so", "", "")
        config = ChipBootstrapConfig(
            comm=ChipCommBootstrapConfig(rank, 2, f"/tmp/compat-boot-{os.getppid()}", 4096),
            buffers=[ChipBufferSpec("x", "float32", n, 4 * n, load_from_host=True), ChipBufferSpec("y", "int8", 3, 3),
                     ChipBufferSpec("z", "float32", 1, 4)],
            host_inputs=[HostBufferStaging("x", staged.name, 4 * n)])
        result = w.bootstrap_context(rank, config, channel=channels[rank])
        here = array.array("f", [0] * n)
        w.copy_from(here.buffer_info()[0], result.buffer_ptrs[0], 4 * n)
        good = here.tolist() == list(range(n)) and w.device_id == rank
        good = good and [p - result.local_window_base for p in result.buffer_ptrs] == [0, 4 * n, 4 * n + 3]
        w.shutdown_bootstrap()
        w.shutdown_bootstrap()
        w.finalize()
        return good

    try:
        assert ranks(2, rank_program) == [0, 0]
    finally:
        staged.close()
        staged.unlink()
    for channel in channels:
        assert channel.state == ChipBootstrapMailboxState.SUCCESS and len(channel.buffer_ptrs) == 3
        assert channel.buffer_ptrs[1] - channel.local_window_base == 4 * n and channel.actual_window_size >= 4096


def test_a_bring_up_that_cannot_be_is_told_before_anybody_waits():
    memory = ctypes.create_string_buffer(CHIP_BOOTSTRAP_MAILBOX_SIZE)
    channel = ChipBootstrapChannel(ctypes.addressof(memory), 4)
    assert channel.state == ChipBootstrapMailboxState.IDLE
    w = ChipWorker()
    w.init("/lib/a2a3sim/host.so", "", "")
    comm = ChipCommBootstrapConfig(0, 1, f"/tmp/compat-bad-{os.getpid()}", 64)
    wrong = [ChipBootstrapConfig(comm=comm, buffers=[ChipBufferSpec("x", "float32", 1, 4, load_from_host=True)]),
             ChipBootstrapConfig(buffers=[ChipBufferSpec("x", "float32", 1, 4)]),
             ChipBootstrapConfig(comm=comm, buffers=[ChipBufferSpec("x", "float32", 1, 1 << 40)])]
    for config in wrong:
        with pytest.raises(ValueError):
            w.bootstrap_context(0, config, channel=channel)
        assert channel.state == ChipBootstrapMailboxState.ERROR and channel.error_code == 1
        assert channel.error_message.startswith("ValueError: ")
        w.shutdown_bootstrap()
        channel.reset()
    w.finalize()
    with pytest.raises(KeyError):
        ChipBootstrapConfig().input_staging("x")
    for bad in (lambda: ChipBootstrapChannel(0, 4), lambda: ChipBootstrapChannel(ctypes.addressof(memory), 377),
                lambda: channel.write_success(1, 2, 3, [0] * 5)):
        with pytest.raises(ValueError):
            bad()


def test_arguments_without_a_communicator_are_of_one_chip():
    w = ChipWorker()
    w.init("/lib/a2a3sim/host.so", "", "")
    result = w.bootstrap_context(0, ChipBootstrapConfig())
    assert (result.device_ctx, result.local_window_base, result.buffer_ptrs) == (0, 0, [])
    assert isinstance(ContinuousTensor.make(0, (1,), DataType.INT8), ChipTensor)
    w.finalize()

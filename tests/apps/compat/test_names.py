"""Every name of the surface is there, with the values, defaults and errors that scripts rely on."""

import ctypes
import importlib
import inspect
import logging
import struct

import pytest
from compat_support import floats, packed, read

from simpler.task_interface import (
    ArgDirection,
    CallConfig,
    ChipCallable,
    ChipTensor,
    CoreCallable,
    DataType,
    TaskArgs,
    TensorArgType,
    scalar_to_uint64,
)

NAMES = {
    "simpler": "Worker task_interface comm_endpoints TIMING NUL DEFAULT_THRESHOLD get_logger get_current_config",
    "simpler.worker": "Worker RunHandle RemoteCallable RemoteWorkerSpec MpiL3GroupSpec InitCancelled",
    "simpler.orchestrator": "Orchestrator",
    "simpler.task_interface": """DataType get_element_size get_dtype_name MAX_TENSOR_DIMS Tensor ChipTensor
        ChipStorageTaskArgs TensorArgType TaskArgs ArgDirection CoreCallable ChipCallable CallConfig RuntimeEnv ChipWorker
        arg_direction_name scalar_to_uint64 WorkerType TaskState CommBufferSpec ChipDomainContext CommDomainHandle
        GlobalCommDomainHandle GlobalCommDomainView RemoteAddressSpace RemoteBufferHandle RemoteBufferExport
        RemoteTensorRef _Worker read_args_from_blob ContinuousTensor CONTINUOUS_TENSOR_MAX_DIMS SubmitResult
        CHIP_BOOTSTRAP_MAILBOX_SIZE ChipBootstrapChannel ChipBootstrapMailboxState ChipCommBootstrapConfig ChipBufferSpec
        HostBufferStaging ChipBootstrapConfig ChipBootstrapResult ChipContext""",
    "simpler.buffer": """Buffer Tensor BufferDescriptor CanonicalIdentity AddressSpace AccessMode BackendKind MappedArg
        MappedArgs ImportRegistry""",
    "simpler.callable_identity": "CallableHandle",
    "simpler.worker_chip_message_queue": "WorkerChipQueueOpcode WorkerChipQueue",
    "simpler.worker_chip_orch_comm": "NotifyOp WaitCmp",
    "simpler._log": "get_current_config get_logger",
    "simpler.env_manager": "get ensure",
    "_task_interface": "MAX_REGISTERED_CALLABLE_IDS OWNER_INSTANCE_ID_BYTES DataType TaskArgs",
}
METHODS = {
    ("simpler.worker", "Worker"): """register unregister init run submit malloc alloc_child_tensor free copy_to copy_from
        create_buffer release_buffer make_tensor_arg alloc_shared_tensor add_worker live_domains committed_device_memory
        aicpu_dlopen_count host_dlopen_count run_stream_set_create_count close add_remote_worker add_mpirun_worker_group
        chip_contexts""",
    ("simpler.worker", "RunHandle"): "done wait result",
    ("simpler.orchestrator", "Orchestrator"): """submit_next_level submit_next_level_group submit_sub submit_sub_group scope
        scope_begin scope_end alloc alloc_child_tensor free copy_to copy_from allocate_domain release_domain malloc
        allocate_global_domain release_global_domain get_global_domain copy_to_global_domain copy_from_global_domain
        create_worker_chip_region create_worker_chip_queue""",
    ("simpler.task_interface", "ChipWorker"): """init register_callable run unregister_callable malloc free copy_to copy_from
        comm_init comm_alloc_windows comm_get_local_window_base comm_get_window_size comm_derive_context comm_barrier
        comm_destroy comm_destroy_all finalize device_id initialized pipeline_depth runtime_slot_count
        committed_device_memory set_device reset_device device_set bootstrap_context shutdown_bootstrap""",
    ("simpler.task_interface", "TaskArgs"): "add_tensor add_scalar tensor scalar tag set_tag tensor_count scalar_count clear",
    ("simpler.task_interface", "ChipStorageTaskArgs"): """add_tensor add_scalar tensor scalar tensor_count scalar_count clear
        __ptr__ sizeof""",
    ("simpler.task_interface", "CoreCallable"): "build sig sig_count binary_size buffer_ptr buffer_size",
    ("simpler.task_interface", "ChipCallable"): """build from_bytes sig sig_count binary_size func_name config_name
        child_count child_func_id child child_offset buffer_ptr buffer_size""",
    ("simpler.buffer", "Buffer"): "tensor to_descriptor close",
}


@pytest.mark.parametrize("module", NAMES)
def test_every_name_is_there(module):
    found = importlib.import_module(module)
    missing = [name for name in NAMES[module].split() if not hasattr(found, name)]
    assert not missing


@pytest.mark.parametrize("module, name", METHODS)
def test_every_method_is_there(module, name):
    found = getattr(importlib.import_module(module), name)
    missing = [method for method in METHODS[module, name].split() if inspect.getattr_static(found, method, None) is None]
    assert not missing


def test_codes():
    assert {one.name: one.value for one in DataType} == dict(
        FLOAT32=0, FLOAT16=1, INT32=2, INT16=3, INT8=4, UINT8=5, BFLOAT16=6, INT64=7, UINT64=8, UINT16=9, UINT32=10,
        FP8E4M3FN=12, FP8E8M0=13, FP4E2M1=14)
    from simpler import buffer, task_interface
    from simpler.worker_chip_message_queue import WorkerChipQueueOpcode

    sizes = [task_interface.get_element_size(one) for one in DataType]
    assert sizes == [4, 2, 4, 2, 1, 1, 2, 8, 8, 2, 4, 1, 1, 1]
    assert [one.value for one in TensorArgType] == [0, 1, 2, 3, 4] and [one.value for one in ArgDirection] == [0, 1, 2, 3]
    assert [one.name for one in WorkerChipQueueOpcode] == ["INVALID", "DATA", "STOP", "ERROR"]
    assert [one.name for one in buffer.BackendKind] == ["FORK_SHM", "POSIX_SHM", "VMM_WINDOW", "REMOTE_SIDECAR",
                                                        "DEVICE_MALLOC", "FORK_COW"]
    assert task_interface.MAX_TENSOR_DIMS == 5 and task_interface.arg_direction_name(ArgDirection.OUT) == "OUT"


def test_scalars_are_words():
    assert scalar_to_uint64(1.0) == 0x3F800000 and scalar_to_uint64(-1) == 2**64 - 1
    assert scalar_to_uint64(ctypes.c_float(-2)) == struct.unpack("<I", struct.pack("<f", -2))[0]
    assert scalar_to_uint64(ctypes.c_double(0.1)) == struct.unpack("<Q", struct.pack("<d", 0.1))[0]
    assert scalar_to_uint64(ctypes.c_int8(-1)) == 2**64 - 1 and scalar_to_uint64(ctypes.c_bool(True)) == 1


def test_levels_and_environment(monkeypatch):
    import simpler
    from simpler import env_manager

    assert (simpler.TIMING, simpler.NUL, simpler.DEFAULT_THRESHOLD) == (25, 60, 25)
    assert logging.getLevelName(25) == "TIMING" and logging.getLevelName("NUL") == 60
    monkeypatch.setenv("COMPAT_A_NAME", "1")
    assert env_manager.get("COMPAT_A_NAME") == "1" and env_manager.ensure("COMPAT_A_NAME") == "1"
    monkeypatch.delenv("COMPAT_A_NAME")
    assert env_manager.get("COMPAT_A_NAME") == "1"
    assert env_manager.get("COMPAT_NO_SUCH_NAME") is None
    with pytest.raises(OSError):
        env_manager.ensure("COMPAT_NO_SUCH_NAME")


def test_configuration():
    config = CallConfig()
    assert (config.aicpu_thread_num, config.enable_chip_swimlane, config.enable_dump_args, config.enable_dep_gen,
            config.output_prefix) == (0, 0, 0, False, "")
    config.enable_chip_swimlane = config.enable_dump_args = True
    assert (config.enable_chip_swimlane, config.enable_dump_args) == (4, 1)
    with pytest.raises(ValueError):
        config.validate()
    config.output_prefix = "/tmp/x"
    config.validate()
    config.runtime_env.ring_heap = 4096
    assert config.runtime_env.ring_heap == [4096] * 4
    config.runtime_env.ring_task_window = [4, 8, 16, 32]
    assert config.runtime_env.ring_task_window == [4, 8, 16, 32]
    for wrong in ([1, 2], "x"):
        with pytest.raises((ValueError, TypeError, AttributeError)):
            config.runtime_env.ring_dep_pool = wrong
    config.runtime_env.ring_heap = 8
    with pytest.raises(ValueError):
        config.validate()
    with pytest.raises(AttributeError):
        config.block_dim = 24
    with pytest.raises(ValueError):
        config.enable_dump_args = 4
    with pytest.raises(ValueError):
        config.output_prefix = "x" * 1024


def test_task_args(worker):
    w = worker(2, init=False)
    x = w.make_tensor_arg(floats(1, 2), (2,), 0)
    args = TaskArgs()
    args.add_tensor(x)
    args.add_tensor(x, TensorArgType.OUTPUT_EXISTING)
    args.add_scalar(3)
    assert args.tensor(0) is x and args.tag(0) == TensorArgType.INPUT and args.scalar(0) == 3
    assert (args.tensor_count(), args.scalar_count(), len(args)) == (2, 1, 3)
    args.set_tag(0, TensorArgType.INOUT)
    with pytest.raises(ValueError, match="same bytes"):
        args.check()
    for wrong in (lambda: args.add_tensor(x), lambda: args.tensor(2), lambda: args.scalar(-1), lambda: args.tag(5)):
        with pytest.raises((RuntimeError, IndexError)):
            wrong()
    for wrong in (1.5, -1, 2**64, "x"):
        with pytest.raises(TypeError):
            args.add_scalar(wrong)
    with pytest.raises(TypeError):
        TaskArgs().add_tensor(floats(1))
    args.clear()
    assert len(args) == 0
    only = w.make_tensor_arg(b"12345678", (2,), 0)
    TaskArgs().add_tensor(only, TensorArgType.INPUT)
    TaskArgs().add_tensor(only, TensorArgType.NO_DEP)
    for tag in (TensorArgType.INOUT, TensorArgType.OUTPUT_EXISTING):
        with pytest.raises(ValueError):
            TaskArgs().add_tensor(only, tag)


def test_views_are_checked_and_written_down(worker):
    w = worker(2, init=False)
    buffer = w.make_tensor_arg(floats(*range(24)), (24,), 0).buffer
    view = buffer.tensor((2, 3), DataType.FLOAT32, strides=(12, 4), byte_offset=8)
    assert (view.ndims, view.shapes, view.strides, view.dtype, view.byte_offset) == (2, (2, 3), (12, 4), 0, 8)
    for wrong in (dict(shapes=()), dict(shapes=(1,) * 6), dict(shapes=(0,)), dict(shapes=(25,)),
                  dict(shapes=(2,), strides=(0,)), dict(shapes=(2,), byte_offset=2), dict(shapes=(2,), byte_offset=96),
                  dict(shapes=(2,), strides=(1, 1)), dict(shapes=(2,), dtype=11 + 80)):
        with pytest.raises(ValueError):
            buffer.tensor(**{"dtype": DataType.FLOAT32, **wrong})
    assert buffer.tensor((96,), 5).shapes == (96,)
    raw = view.pack()
    assert len(raw) == 144 and struct.unpack_from("<H", raw)[0] == 0x5342
    assert struct.unpack_from("<Q", raw, 40)[0] == 96
    assert struct.unpack_from("<QI5I5IB", raw, 88) == (8, 2, 2, 3, 0, 0, 0, 12, 4, 0, 0, 0, 0)
    from simpler.buffer import BufferDescriptor

    again = BufferDescriptor.unpack(raw)
    assert again.identity == buffer.identity and again.nbytes == 96 and struct.unpack("<Q", again.body)[0] == buffer.base
    for wrong in (b"", raw[:80], b"\0" * 88):
        with pytest.raises(ValueError):
            BufferDescriptor.unpack(wrong)


def test_buffers_are_closed_once(worker):
    buffer = worker(3).create_buffer(64)
    assert buffer.nbytes == 64 and buffer.shm is not None and not buffer.closed
    buffer.shm.buf[0] = 7
    kept = memoryview(buffer.shm.buf)
    buffer.close()
    buffer.close()
    assert buffer.closed and kept[0] == 7


def test_callables_are_bytes():
    d = ArgDirection
    kernel = CoreCallable.build([d.IN, d.OUT, d.SCALAR], b"kernel")
    assert (kernel.sig_count, kernel.binary_size, kernel.buffer_size(), kernel.sig(2)) == (3, 6, 198, d.SCALAR)
    assert ctypes.string_at(kernel.buffer_ptr(), kernel.buffer_size())[192:] == b"kernel"
    chip = ChipCallable.build([d.IN, d.OUT], "entry", b"orchestration", [(7, kernel), (0, kernel)], config_name="config")
    assert (chip.sig_count, chip.binary_size, chip.func_name, chip.config_name) == (2, 13, "entry", "config")
    assert [chip.child_func_id(i) for i in range(chip.child_count)] == [7, 0] and chip.child_offset(0) == 64
    assert chip.child(1).binary == b"kernel"
    again = ChipCallable.from_bytes(ctypes.string_at(chip.buffer_ptr(), chip.buffer_size()))
    assert again.to_bytes() == chip.to_bytes() and again.func_name == "entry"
    for wrong in (lambda: CoreCallable.build([d.IN] * 33, b""), lambda: ChipCallable.build([d.IN] * 257, "e", b"", []),
                  lambda: ChipCallable.build([], "e", b"", [(1024, kernel)]),
                  lambda: ChipCallable.build([], "e", b"", [(1, kernel), (1, kernel)]),
                  lambda: ChipCallable.from_bytes(b"x")):
        with pytest.raises(ValueError):
            wrong()
    for wrong in (lambda: chip.sig(2), lambda: chip.child(2), lambda: kernel.sig(-1)):
        with pytest.raises(IndexError):
            wrong()
    assert len(ChipCallable.build([], "e" * 100, b"", []).func_name) == 63


def test_tensors_by_address():
    one = ChipTensor.make(64, (2, 3), DataType.INT16)
    assert (one.data, one.shapes, one.ndims, one.dtype, one.child_memory) == (64, (2, 3), 2, DataType.INT16, False)
    assert (one.strides, one.start_offset, one.is_contiguous, one.nbytes()) == ((3, 1), 0, True, 12)
    one.data, one.shapes, one.dtype, one.child_memory = 128, (4,), DataType.FLOAT32, True
    assert (one.data, one.nbytes(), one.child_memory) == (128, 16, True)


def test_at_most_64_callables(worker):
    w = worker(3, init=False, device_ids=[0])
    handles = [w.register(lambda args, i=i: i) for i in range(64)]
    with pytest.raises(RuntimeError, match="64"):
        w.register(packed("add"))
    w.unregister(handles[0])
    w.register(packed("add"))


def test_a_global_domain_and_hardware_are_refused_with_a_sentence(worker):
    from simpler import comm_endpoints, task_interface

    def orch_fn(orch, args, cfg):
        for name in ("allocate_global_domain", "get_global_domain", "copy_to_global_domain"):
            with pytest.raises(NotImplementedError):
                getattr(orch, name)(1)

    worker(3, num_sub_workers=1).run(orch_fn)
    for refused in (task_interface.GlobalCommDomainHandle, task_interface.RemoteTensorRef, task_interface._Worker,
                    task_interface.read_args_from_blob, comm_endpoints.anything):
        with pytest.raises(NotImplementedError):
            refused()


def test_the_module_of_kernels_is_found():
    assert read("add").startswith(b"\x7fELF")

"""One chip in this process, without a graph of tasks; also a rank among processes that communicate."""

import os
import struct

from . import _objects
from ._bootstrap_types import ChipBootstrapResult
from ._call_config import CallConfig
from ._callables import ChipCallable
from ._chip_tensors import ChipStorageTaskArgs
from ._machine import IN, INOUT, OUT, status_of
from ._troupe import core, raw, troupe
from ._types import row_major
from .buffer import ImportRegistry, memory_at
from .callable_identity import CallableHandle

_CONTEXT_BYTES = 1056  # of a CommContext
_MODES = {1: IN, 2: OUT, 3: INOUT}


def platform_of(bins):
    """The simulated platform that binaries of the other system are for: their path names it."""
    said = os.environ.get("TROUPE_COMPAT_PLATFORM")
    if said:
        return said
    path = str(bins if isinstance(bins, (str, os.PathLike)) else getattr(bins, "host_path", bins))
    parts = path.replace("\\", "/").split("/")
    for part in reversed(parts):
        for platform in ("a2a3sim", "a5sim"):
            if platform in part:
                return platform
    for part in reversed(parts):
        if part in ("a2a3", "a5"):
            return part + "sim"
    return "a2a3sim"


class ChipWorker:
    """init(), register_callable(), run(), finalize(). Runs block, and let other threads of Python run."""

    def __init__(self):
        self._device, self._finalized, self._comm = None, False, 0
        self._callables = {}
        self._comm_handle = 0  # of bootstrap_context
        self._context = 0  # the address of the communicator's

    # --- life ------------------------------------------------------------------------------------------------

    def init(self, *given, **named):
        """init(device_id, bins, log_level=None, prewarm_config=None, enable_sdma=False).

        Of April 2026: init(host_path, aicpu_path, aicore_path, sim_context_lib_path="", …), then set_device(id).
        """
        if self._finalized:
            raise RuntimeError("the ChipWorker is finalized: make another")
        if self._device is not None:
            raise RuntimeError("init() of a ChipWorker that is initialized: it is called once")
        if (given and isinstance(given[0], (str, os.PathLike))) or "host_path" in named:
            self._open(platform_of(given[0] if given else named["host_path"]))
        else:
            self._init(*given, **named)

    def _init(self, device_id, bins, log_level=None, prewarm_config=None, enable_sdma=False):
        if enable_sdma:
            raise RuntimeError("enable_sdma: simulated chips have no DMA engines")
        self._open(platform_of(bins))
        try:
            self.set_device(device_id)
        except BaseException:
            self.finalize()
            raise

    def _open(self, platform):
        self._device = self._called("init", core._Device, platform)

    @staticmethod
    def _called(what, call, *args):
        try:
            return call(*args)
        except troupe.Error as error:
            raise RuntimeError(f"{what} failed: {error}") from error

    def _ready(self):
        if self._device is None:
            raise RuntimeError("ChipWorker is finalized" if self._finalized
                               else "ChipWorker not initialized; call init() first")
        if self._device.device_id < 0:
            raise RuntimeError("ChipWorker device not set; call set_device() first")
        return self._device

    def set_device(self, device_id):
        if self._device is None:
            raise RuntimeError("ChipWorker not initialized; call init() first")
        if self._device.device_id >= 0:
            raise RuntimeError("Device already set; call reset_device() before switching devices")
        self._called("set_device", self._device.set_device, int(device_id))

    def reset_device(self):
        if self._device is not None:
            self._called("reset_device", self._device.reset_device)
            self._callables.clear()
            self._comm = self._comm_handle = 0

    def finalize(self):
        """For good; again: nothing."""
        device, self._device, self._finalized = self._device, None, True
        self._callables.clear()
        self._comm = self._comm_handle = 0
        if device is not None:
            self._called("finalize", device.close)

    @property
    def device_id(self):
        return self._device.device_id if self._device is not None else -1

    @property
    def initialized(self):
        return self._device is not None

    @property
    def device_set(self):
        return self.device_id >= 0

    pipeline_depth = 1
    runtime_slot_count = 1

    @property
    def committed_device_memory(self):
        return self._ready().memory_used

    @property
    def aicpu_dlopen_count(self):
        return len(self._callables)

    host_dlopen_count = aicpu_dlopen_count

    # --- callables -------------------------------------------------------------------------------------------

    def register_callable(self, target):
        device = self._ready()
        if not isinstance(target, ChipCallable):
            raise TypeError(f"a chip worker runs ChipCallables, not a {type(target).__name__}")
        from ._registry import _digest

        digest = _digest(target, True)
        known = self._callables.get(digest)
        if known is None:
            _objects.check(target, None)
            name = "callable-" + digest.hex()[:16]
            number = self._called("register_callable", device.add, name, target.to_bytes())
            known = self._callables[digest] = CallableHandle(digest, "chip", name, number, target)
        return known

    def unregister_callable(self, handle):
        known = self._callables.pop(handle.digest, None)
        if known is None:
            raise KeyError(f"{handle!r} is not registered")
        self._called("unregister_callable", self._ready().remove, known.index)

    def run(self, handle, args, config=None, **overrides):
        """Runs it to its end. The callable itself does for the handle, as in April 2026."""
        device = self._ready()
        if isinstance(handle, ChipCallable):
            handle = self.register_callable(handle)
        known = self._callables.get(handle.digest)
        if known is None:
            raise KeyError(f"{handle!r} is not registered")
        if not isinstance(args, ChipStorageTaskArgs):
            raise TypeError(f"the arguments are ChipStorageTaskArgs, not {type(args).__name__}")
        config = config if config is not None else CallConfig()
        for name, value in overrides.items():
            if name != "block_dim":  # of April 2026: a run uses the whole device
                setattr(config, name, value)
        config.validate()
        directions = known.target.directions()
        tensors = [self._argument(tensor, directions[i] if i < len(directions) else 3)
                   for i, tensor in enumerate(args.tensors)]
        try:
            device.run(known.index, tensors, list(args.scalars))
        except troupe.Error as error:
            code = status_of(error) or -1
            raise RuntimeError(f"run failed with code {code}: {error}") from error

    @staticmethod
    def _argument(tensor, direction):
        return (tensor.data, tensor.nbytes(), 0, tensor.shapes, row_major(tensor.shapes), int(tensor.dtype),
                _MODES.get(direction, INOUT), int(tensor.child_memory))

    # --- memory ----------------------------------------------------------------------------------------------

    def malloc(self, size):
        return self._called("malloc", self._ready().malloc, int(size))

    def free(self, ptr):
        self._called("free", self._ready().free, int(ptr))

    def copy_to(self, dst, src, size):
        self._called("copy_to", self._ready().copy_to, int(dst), int(src), int(size))

    def copy_from(self, dst, src, size):
        self._called("copy_from", self._ready().copy_from, int(dst), int(src), int(size))

    # --- communication ---------------------------------------------------------------------------------------

    def comm_init(self, rank, nranks, rootinfo_path):
        """Joins the ranks that name the same path; a handle."""
        self._called("comm_init", self._ready().comm_init, int(rank), int(nranks), str(rootinfo_path))
        self._comm += 1
        return self._comm

    def _session(self, handle):
        if handle != self._comm or handle == 0:
            raise RuntimeError(f"there is no communicator {handle}")
        return self._ready()

    def comm_alloc_windows(self, handle, win_size):
        self._context = self._called("comm_alloc_windows", self._session(handle).comm_alloc_windows, int(win_size))
        return self._context

    def comm_get_local_window_base(self, handle):
        return self._called("comm_get_local_window_base", self._session(handle).comm_local_window_base)

    def comm_get_window_size(self, handle):
        return self._called("comm_get_window_size", self._session(handle).comm_window_size)

    def comm_derive_context(self, handle, rank_ids, domain_rank, window_offset, window_size):
        """The context of some of the ranks, over a part of their windows; its address."""
        device, ranks = self._session(handle), [int(rank) for rank in rank_ids]
        if not self._context:
            raise RuntimeError("comm_derive_context: comm_alloc_windows comes first")
        whole = memory_at(self._context, _CONTEXT_BYTES)  # of a simulated chip: in this process
        count, size = struct.unpack_from("<IQ", whole, 20)
        if not ranks or any(not 0 <= rank < count for rank in ranks) or not 0 <= domain_rank < len(ranks):
            raise ValueError(f"ranks {ranks}, of which number {domain_rank} is this, are none of {count}")
        if window_offset < 0 or window_size <= 0 or window_offset + window_size > size:
            raise ValueError(f"{window_size} bytes from {window_offset} on do not lie in a window of {size}")
        part = bytearray(_CONTEXT_BYTES)
        struct.pack_into("<IIQ", part, 16, domain_rank, len(ranks), window_size)
        for i, rank in enumerate(ranks):
            for first in (32, 544):
                there = struct.unpack_from("<Q", whole, first + 8 * rank)[0]
                struct.pack_into("<Q", part, first + 8 * i, there + window_offset)
        address = self._called("comm_derive_context", device.malloc, _CONTEXT_BYTES)
        self.copy_to(address, raw.span(part)[0], _CONTEXT_BYTES)
        return address

    def comm_barrier(self, handle):
        self._called("comm_barrier", self._session(handle).comm_barrier)

    def comm_destroy(self, handle):
        self._called("comm_destroy", self._session(handle).comm_destroy)

    def comm_destroy_all(self):
        if self._comm:
            self._comm_ended(self._comm)

    def _comm_ended(self, handle):
        try:
            self.comm_destroy(handle)
        except RuntimeError:
            pass

    # --- bring-up, of April 2026 -----------------------------------------------------------------------------

    def bootstrap_context(self, device_id, cfg, channel=None):
        """A device, a communicator, a window and what lies in it; also told through a channel."""
        try:
            result = self._bootstrapped(device_id, cfg)
        except Exception as error:
            if channel is not None:
                channel.write_error(1, f"{type(error).__name__}: {error}")
            raise
        if channel is not None:
            channel.write_success(result.device_ctx, result.local_window_base, result.actual_window_size,
                                  result.buffer_ptrs)
        return result

    def _bootstrapped(self, device_id, cfg):
        cfg.check()
        if self._device is None:
            raise RuntimeError("ChipWorker not initialized; call init() first")
        if self._device.device_id != int(device_id):
            self.set_device(device_id)
        context = base = size = 0
        if cfg.comm is not None:
            self._comm_handle = self.comm_init(cfg.comm.rank, cfg.comm.nranks, cfg.comm.rootinfo_path)
            context = self.comm_alloc_windows(self._comm_handle, cfg.comm.window_size)
            base = self.comm_get_local_window_base(self._comm_handle)
            size = self.comm_get_window_size(self._comm_handle)
        pointers = [base + at for at in cfg.offsets(size)]
        for spec, pointer in zip(cfg.buffers, pointers):
            if spec.load_from_host:
                self._load(spec, pointer, cfg.input_staging(spec.name))
        return ChipBootstrapResult(context, base, size, pointers)

    def _load(self, spec, pointer, staging):
        load_staging(spec, staging, lambda address, size: self.copy_to(pointer, address, size))

    def shutdown_bootstrap(self):
        """Ends the communicator of bootstrap_context; again: nothing."""
        handle, self._comm_handle = self._comm_handle, 0
        if handle:
            self.comm_destroy(handle)


def load_staging(spec, staging, copy):
    """Calls copy(address, bytes) with the bytes that wait under a name."""
    if staging.size != spec.nbytes:
        raise ValueError(f"buffer {spec.name!r} has {spec.nbytes} bytes, its staging {staging.size}")
    if staging.size == 0:
        return
    opened = ImportRegistry()
    try:
        copy(raw.span(opened.map(staging.shm_name, staging.size))[0], staging.size)
    finally:
        opened.clear()



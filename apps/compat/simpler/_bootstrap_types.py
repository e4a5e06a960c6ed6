"""Of April 2026: how chips are brought up with a communicator, and how they tell of it."""

import ctypes
import dataclasses
import enum
import struct
from typing import Optional

CHIP_BOOTSTRAP_MAILBOX_SIZE = 4096
_MOST_BUFFERS = 376
_MESSAGE_AT, _MESSAGE_BYTES = 3072, 1024


@dataclasses.dataclass
class ChipCommBootstrapConfig:
    rank: int
    nranks: int
    rootinfo_path: str
    window_size: int


@dataclasses.dataclass
class ChipBufferSpec:
    name: str
    dtype: str
    count: int
    nbytes: int
    load_from_host: bool = False
    store_to_host: bool = False


@dataclasses.dataclass
class HostBufferStaging:
    name: str
    shm_name: str
    size: int


@dataclasses.dataclass
class ChipBootstrapConfig:
    comm: Optional[ChipCommBootstrapConfig] = None
    buffers: list = dataclasses.field(default_factory=list)
    host_inputs: list = dataclasses.field(default_factory=list)
    host_outputs: list = dataclasses.field(default_factory=list)

    @staticmethod
    def _staging(stagings, name):
        for staging in stagings:
            if staging.name == name:
                return staging
        raise KeyError(name)

    def input_staging(self, name):
        return self._staging(self.host_inputs, name)

    def output_staging(self, name):
        return self._staging(self.host_outputs, name)

    def check(self):
        """What needs no device: each buffer that is loaded or stored has its staging."""
        for kind, needed, stagings in (("load_from_host", lambda spec: spec.load_from_host, self.host_inputs),
                                       ("store_to_host", lambda spec: spec.store_to_host, self.host_outputs)):
            names = {staging.name for staging in stagings}
            for spec in self.buffers:
                if needed(spec) and spec.name not in names:
                    raise ValueError(f"buffer {spec.name!r} says {kind} and has no HostBufferStaging of its name")

    def offsets(self, window_size):
        """Where each buffer begins in the window."""
        if self.buffers and self.comm is None:
            raise ValueError("buffers lie in a window, which a config without comm has none of")
        found, at = [], 0
        for spec in self.buffers:
            if at + spec.nbytes > window_size:
                raise ValueError(f"buffer {spec.name!r} (nbytes={spec.nbytes}) at offset={at} overflows window size "
                                 f"{window_size}")
            found.append(at)
            at += spec.nbytes
        return found


@dataclasses.dataclass
class ChipBootstrapResult:
    device_ctx: int
    local_window_base: int
    actual_window_size: int
    buffer_ptrs: list


@dataclasses.dataclass
class ChipContext:
    device_id: int
    rank: int
    nranks: int
    device_ctx: int
    local_window_base: int
    actual_window_size: int
    buffer_ptrs: dict


class ChipBootstrapMailboxState(enum.IntEnum):
    IDLE = 0
    SUCCESS = 1
    ERROR = 2


class ChipBootstrapChannel:
    """A mailbox of 4096 bytes at an address that two processes share: one writes how it went, one reads that."""

    def __init__(self, mailbox, max_buffer_count):
        mailbox, max_buffer_count = int(mailbox), int(max_buffer_count)
        if mailbox == 0:
            raise ValueError("mailbox must not be null")
        if not 0 <= max_buffer_count <= _MOST_BUFFERS:
            raise ValueError(f"max_buffer_count is 0 to {_MOST_BUFFERS}, not {max_buffer_count}")
        self._most = max_buffer_count
        self._bytes = memoryview((ctypes.c_ubyte * CHIP_BOOTSTRAP_MAILBOX_SIZE).from_address(mailbox)).cast("B")
        self._state = ctypes.c_int32.from_address(mailbox)

    def reset(self):
        self._bytes[:] = bytes(CHIP_BOOTSTRAP_MAILBOX_SIZE)

    def write_success(self, device_ctx, local_window_base, actual_window_size, buffer_ptrs):
        if len(buffer_ptrs) > self._most:
            raise ValueError("buffer_ptrs exceeds max_buffer_count")
        struct.pack_into("<ii", self._bytes, 4, 0, len(buffer_ptrs))
        struct.pack_into("<QQQ", self._bytes, 16, device_ctx, local_window_base, actual_window_size)
        struct.pack_into(f"<{len(buffer_ptrs)}Q", self._bytes, 64, *buffer_ptrs)
        self._state.value = ChipBootstrapMailboxState.SUCCESS  # last: who sees it sees the rest

    def write_error(self, error_code, message):
        text = message.encode()[:_MESSAGE_BYTES - 1]
        self._bytes[_MESSAGE_AT:_MESSAGE_AT + _MESSAGE_BYTES] = text.ljust(_MESSAGE_BYTES, b"\0")
        struct.pack_into("<i", self._bytes, 4, error_code)
        self._state.value = ChipBootstrapMailboxState.ERROR

    @property
    def state(self):
        return ChipBootstrapMailboxState(self._state.value)

    @property
    def error_code(self):
        return struct.unpack_from("<i", self._bytes, 4)[0]

    @property
    def error_message(self):
        return bytes(self._bytes[_MESSAGE_AT:_MESSAGE_AT + _MESSAGE_BYTES]).split(b"\0")[0].decode(errors="replace")

    @property
    def device_ctx(self):
        return struct.unpack_from("<Q", self._bytes, 16)[0]

    @property
    def local_window_base(self):
        return struct.unpack_from("<Q", self._bytes, 24)[0]

    @property
    def actual_window_size(self):
        return struct.unpack_from("<Q", self._bytes, 32)[0]

    @property
    def buffer_ptrs(self):
        count = max(0, min(struct.unpack_from("<i", self._bytes, 8)[0], self._most))
        return list(struct.unpack_from(f"<{count}Q", self._bytes, 64))

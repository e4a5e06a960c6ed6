# The types of the public names; docstrings are with the names themselves. A test compares the two.
import os
from typing import Any, Callable, Generator, Iterable, Literal, Mapping, NoReturn, Protocol, Sequence, TypedDict, TypeVar, Unpack

_F = TypeVar("_F", bound=Callable[..., Any])
_Shape = int | Sequence[int]
# A name, numpy.float32, or numpy.dtype(…).
_DType = Any

class _Buffer(Protocol):
    def __dlpack__(self) -> Any: ...

# A tensor, or what offers its memory: a numpy array, an array.array, something of DLPack.
_Array = Tensor | _Buffer | memoryview | bytearray | bytes | Any
_Argument = TensorArgument | ScalarArgument | DomainContext

# Of what submits a task, and says itself where it runs.
class _PlacedOptions(TypedDict, total=False):
    name: str | None
    after: Wait | Iterable[Wait] | None
    priority: int | None
    deadline: float | None
    retry: int | None
    idempotent: bool | None
    blocks: int | None
    config: CallConfig | None

# Of submit and whatever else submits a task.
class _SubmitOptions(_PlacedOptions, total=False):
    on_chip: int | None

# Of Node.run and Node.submit; the last two of a Plan only.
class _RunOptions(TypedDict, total=False):
    name: str | None
    priority: int | None
    deadline: float | None
    stop: Stop | None
    retry: int | None
    idempotent: bool | None

class _RemoteNode(TypedDict, total=False):
    address: str
    certificate: str
    key: str
    authority: str
    silence: float
    patience: float

class _WindowBuffer(TypedDict, total=False):
    name: str
    dtype: str
    count: int
    nbytes: int
    load_from_host: bool
    store_to_host: bool

class _Staging(TypedDict):
    name: str
    shm_name: str
    size: int

class _Communicator(TypedDict):
    rank: int
    nranks: int
    rootinfo_path: str
    window_size: int

class _ChipBootstrap(TypedDict, total=False):
    comm: _Communicator | None
    buffers: Sequence[_WindowBuffer]
    host_inputs: Sequence[_Staging]
    host_outputs: Sequence[_Staging]
    buffer_alignment: int

# A policy: its name, one of those that ship, or a function that returns one of the chips, or its place in the list.
_Placement = (
    Literal["earliest_finish", "least_loaded", "where_the_data_is"]
    | Callable[[TaskToPlace, list[ChipForTask]], ChipForTask | int]
    | None
)

class _NodeOptions(TypedDict, total=False):
    name: str
    platform: str
    chips: int
    first_device: int
    sub_workers: int
    credit: int
    max_runs: int
    soft_limit: int
    hard_limit: int
    abort_grace: float
    arena_bytes: int
    restarts: int
    restarts_within: float
    checked: bool
    recover: bool
    placement: _Placement
    models: str | os.PathLike[str]
    own_process: bool
    remote: str | Sequence[str | _RemoteNode]
    rejoin: float
    device_options: Mapping[str, Any]
    chip_bootstrap_configs: Sequence[_ChipBootstrap]

class _SystemOptions(_NodeOptions, total=False):
    threads: int
    log_level: int | Literal["off", "error", "warning", "info", "debug"]
    log_file: str | os.PathLike[str]
    log: Callable[[int, str, str], Any]
    trace: str | os.PathLike[str] | Trace
    report_crashes: bool
    dump: str | os.PathLike[str]
    dump_only: str

class _WorkerOptions(TypedDict, total=False):
    name: str
    nodes: int | Sequence[_NodeOptions]
    workers: Sequence[_WorkerOptions]
    sub_workers: int

__version__: str
COLLECTIVES: str
COLLECTIVE_WORKSPACE: int

class Error(Exception):
    code: str
    number: int
    message: str
    hint: str
    path: str
    def __init__(
        self, code: str, message: str = "", hint: str = "", path: str = "", number: int = 0, native: Any = None
    ) -> None: ...
    @property
    def root(self) -> Error: ...

class TensorArgument: ...

class ScalarArgument:
    @property
    def value(self) -> float | int | bool: ...
    @property
    def type(self) -> str: ...

class DomainContext: ...

class Module:
    path: str
    targets: tuple[str, ...]
    left_out: dict[str, str]
    def __init__(self, path: str | os.PathLike[str]) -> None: ...
    def __fspath__(self) -> str: ...

class Rank:
    @property
    def index(self) -> int: ...
    @property
    def chip(self) -> int: ...
    @property
    def ranks(self) -> int: ...
    def buffer(self, name: str, dtype: _DType = "float32") -> Tensor: ...
    def address_of(self, name: str) -> ScalarArgument: ...
    def context(self) -> DomainContext: ...

class Domain:
    def rank(self, index: int) -> Rank: ...
    def each(self, make: Callable[[Rank], Args]) -> list[Args]: ...
    def __len__(self) -> int: ...

class Args:
    chip: int

_SignalWord = Literal["int32", "uint32", "int64", "uint64"]
_Compare = Literal["==", "!=", ">", ">=", "<", "<="]
_Operation = Literal["sum", "min", "max"]
_Algorithm = Literal["automatic", "one_phase", "two_phase", "ring", "bidirectional_ring"]

class Communicator:
    def __init__(
        self, rank: int, ranks: int, meeting: str, *, timeout: float | None = None, allow_several: bool = False
    ) -> None: ...
    @property
    def rank(self) -> int: ...
    @property
    def ranks(self) -> int: ...
    @property
    def window_size(self) -> int: ...
    def alloc_windows(self, nbytes: int) -> None: ...
    def put(self, rank: int, offset: int, data: _Array) -> None: ...
    def get(self, rank: int, offset: int, data: _Array) -> None: ...
    def notify(
        self, rank: int, offset: int, value: int, op: Literal["set", "add"] = "set", type: _SignalWord = "uint32"
    ) -> None: ...
    def wait_until(
        self,
        rank: int,
        offset: int,
        compare: _Compare,
        value: int,
        type: _SignalWord = "uint32",
        timeout: float | None = None,
    ) -> None: ...
    def test(self, rank: int, offset: int, compare: _Compare, value: int, type: _SignalWord = "uint32") -> bool: ...
    def fence(self) -> None: ...
    def barrier(self) -> None: ...
    def collectives(self, offset: int = 0, nbytes: int = 1052672, timeout: float | None = None) -> Collectives: ...
    def abort(self) -> None: ...
    def destroy(self) -> None: ...
    def __enter__(self) -> Communicator: ...
    def __exit__(self, type: Any, value: Any, traceback: Any, /) -> None: ...

class Collectives:
    @property
    def rank(self) -> int: ...
    @property
    def ranks(self) -> int: ...
    def all_reduce(
        self,
        data: _Array,
        result: _Array | None = None,
        *,
        operation: _Operation = "sum",
        algorithm: _Algorithm = "automatic",
    ) -> None: ...
    def all_gather(self, part: _Array, result: _Array) -> None: ...
    def reduce_scatter(self, data: _Array, part: _Array, *, operation: _Operation = "sum") -> None: ...
    def broadcast(self, data: _Array, root: int = 0) -> None: ...
    def all_to_all(self, data: _Array, result: _Array) -> None: ...
    def barrier(self) -> None: ...
    def reset(self) -> None: ...
    def part_of(self, count: int) -> int: ...

class CallConfig:
    @property
    def block_dim(self) -> int: ...
    @property
    def aicpu_thread_num(self) -> int: ...
    @property
    def enable_profiling(self) -> bool: ...
    @property
    def enable_dump_tensor(self) -> bool: ...
    def __init__(
        self,
        block_dim: int = 24,
        aicpu_thread_num: int = 3,
        enable_profiling: bool = False,
        enable_dump_tensor: bool = False,
    ) -> None: ...

class Slot:
    @property
    def type(self) -> str: ...
    def __init__(self, value: Any, type: _DType | None = None) -> None: ...

class PlanParameter:
    kind: str
    dtype: str
    shape: tuple[int, ...] | None
    value: float | int | bool | None
    reads: bool
    writes: bool

class Plan:
    @property
    def name(self) -> str: ...
    @property
    def tasks(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def bytes(self) -> int: ...
    @property
    def parameters(self) -> list[PlanParameter]: ...
    def describe(self) -> str: ...
    def save(self, path: str | os.PathLike[str]) -> None: ...

class Trace:
    def __init__(self) -> None: ...
    def describe(self, key: str, value: str) -> None: ...
    def write(self, path: str | os.PathLike[str]) -> None: ...
    def json(self) -> str: ...

class Tensor:
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def strides(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> str: ...
    @property
    def ndim(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def T(self) -> Tensor: ...
    def transpose(self) -> Tensor: ...
    def reshape(self, *shape: Any) -> Tensor: ...
    def rows(self, begin: int, end: int) -> Tensor: ...
    def numpy(self, *, writable: bool = True, overwrite: bool = False, bits: bool = False) -> Any: ...
    def __getitem__(self, key: int | slice | tuple[int | slice, ...]) -> Tensor: ...
    def __len__(self) -> int: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any: ...
    def __dlpack__(
        self, stream: Any = None, *, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
    ) -> Any: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

class Wait:
    @property
    def number(self) -> int: ...
    def get(self) -> Any: ...
    def wait(self) -> Any: ...
    def __await__(self) -> Generator[Any, Any, Any]: ...
    def __bool__(self) -> NoReturn: ...

class Scope:
    def __enter__(self) -> Scope: ...
    def __exit__(self, *args: Any) -> None: ...

class Orchestrator:
    @property
    def chips(self) -> int: ...
    @property
    def path(self) -> str: ...
    @property
    def unfinished(self) -> int: ...
    def tensor(self, shape: _Shape, dtype: _DType = "float32", fill: Any = None) -> Tensor: ...
    def alloc(self, shape: _Shape, dtype: _DType = "float32") -> Tensor: ...
    def out_like(self, like: _Array) -> TensorArgument: ...
    def device_tensor(self, shape: _Shape, dtype: _DType = "float32", *, on_chip: int) -> Tensor: ...
    def scope(self) -> Scope: ...
    def submit(
        self,
        callable: str | Callable[..., Any] | Plan,
        /,
        *items: _Argument | Slot | float,
        on_chip: int | None = None,
        name: str | None = None,
        after: Wait | Iterable[Wait] | None = None,
        priority: int | None = None,
        deadline: float | None = None,
        retry: int | None = None,
        idempotent: bool | None = None,
        blocks: int | None = None,
        config: CallConfig | None = None,
    ) -> Wait: ...
    def submit_sub(
        self,
        function: str | Callable[..., Any],
        /,
        *items: _Argument,
        on_chip: int | None = None,
        name: str | None = None,
        after: Wait | Iterable[Wait] | None = None,
        priority: int | None = None,
        deadline: float | None = None,
        retry: int | None = None,
        idempotent: bool | None = None,
        blocks: int | None = None,
        config: CallConfig | None = None,
    ) -> Wait: ...
    def submit_group(
        self,
        callable: str | Callable[..., Any],
        members: Iterable[Args],
        chips: Sequence[int] | None = None,
        **options: Unpack[_SubmitOptions],
    ) -> Wait: ...
    def record(self, program: Callable[..., Any], *args: Any, name: str | None = None) -> Plan: ...
    def copy(self, to: _Array, source: _Array, **options: Unpack[_SubmitOptions]) -> Wait: ...
    def fill(self, tensor: _Array, value: float | int | bool, **options: Unpack[_SubmitOptions]) -> Wait: ...
    def prefetch(self, tensor: _Array, on_chip: int, **options: Unpack[_PlacedOptions]) -> Wait: ...
    def pin(self, tensor: _Array, on_chip: int, **options: Unpack[_PlacedOptions]) -> Wait: ...
    def evict(self, tensor: _Array, **options: Unpack[_SubmitOptions]) -> Wait: ...
    def read(self, tensor: _Array) -> Wait: ...
    def read_all(self, tensor: _Array) -> Wait: ...
    def fetch(self, tensor: _Array) -> Wait: ...
    def allocate_domain(
        self, chips: Sequence[int], buffers: Mapping[str, int] = {}, window: int = 0
    ) -> Wait: ...
    def barrier(self, domain: Domain, rank: int) -> Wait: ...
    def configured_domain(self, chip: int = 0) -> Domain: ...
    def drained(self) -> Wait: ...
    def room(self) -> Wait: ...
    def drain(self) -> None: ...
    def flush(self) -> None: ...

class Status:
    name: str
    state: str
    queued: int
    running: int
    completed: int
    failed: int
    restarts: int
    memory_used: int
    memory_cached: int
    memory_peak: int
    windows: int
    runs: int
    busy: list[str]
    children: list[Status]
    learned: list[LearnedCost]

class LearnedCost:
    callable: str
    bytes: int
    @property
    def takes(self) -> float: ...
    count: int

class TaskToPlace:
    callable: str
    name: str
    bytes: int
    priority: int

class ChipForTask:
    chip: int
    tasks: int
    @property
    def busy(self) -> float: ...
    missing: int
    @property
    def brings(self) -> float: ...
    @property
    def takes(self) -> float | None: ...

class Report:
    @property
    def error(self) -> Error | None: ...
    poisoned: list[str]
    all_poisoned: int
    tasks: int
    inside: int
    completed: int
    retried: int
    made_again: int
    waiting: list[str]
    unfinished: int

class Stop:
    def __init__(self) -> None: ...
    @property
    def requested(self) -> bool: ...
    def request(self) -> None: ...

class Handle:
    @property
    def done(self) -> bool: ...
    def wait(self, timeout: float | None = None) -> bool: ...
    def result(self, timeout: float | None = None) -> Any: ...
    def cancel(self) -> None: ...
    def why(self, task: int = 0) -> str: ...
    def report(self) -> Report: ...
    def __await__(self) -> Generator[Any, Any, Any]: ...

class Chip:
    @property
    def index(self) -> int: ...
    def malloc(self, shape: _Shape, dtype: _DType = "float32") -> Tensor: ...
    def copy_to(self, device: Tensor, host: _Array) -> None: ...
    def copy_from(self, host: _Array, device: Tensor) -> None: ...
    def run(self, callable: str, *items: _Argument, **options: Unpack[_SubmitOptions]) -> None: ...
    def reset(self) -> None: ...

class Node:
    @property
    def chips(self) -> int: ...
    @property
    def name(self) -> str: ...
    def load(self, path: str | os.PathLike[str]) -> None: ...
    def add_kernel(self, name: str, object: bytes | str | os.PathLike[str], cores: str = "vector") -> None: ...
    def add_function(self, name: str, function: Callable[..., Any]) -> None: ...
    def run(self, program: str | Callable[..., Any] | Plan, *args: Any, **options: Unpack[_RunOptions]) -> Any: ...
    def submit(self, program: str | Callable[..., Any] | Plan, *args: Any, **options: Unpack[_RunOptions]) -> Handle: ...
    def record(self, program: Callable[..., Any], *args: Any, name: str | None = None) -> Plan: ...
    def load_plan(self, path: str | os.PathLike[str]) -> Plan: ...
    def tensor(self, shape: _Shape, dtype: _DType = "float32", fill: Any = None) -> Tensor: ...
    def chip(self, index: int) -> Chip: ...
    def add_chip(
        self,
        platform: str = "a2a3sim",
        device: int = 0,
        *,
        credit: int = 64,
        abort_grace: float = 2.0,
        device_options: Mapping[str, Any] = {},
        own_process: bool = False,
    ) -> int: ...
    def add_sub_worker(self, abort_grace: float = 2.0) -> int: ...
    def add_node(self, **options: Unpack[_NodeOptions]) -> int: ...
    def remove_executor(self, index: int) -> None: ...
    def chip_contexts(self) -> list[dict[str, Any]]: ...
    def store_to_host(self, name: str = "") -> None: ...
    def status(self) -> Status: ...

class System:
    def __init__(self, **options: Unpack[_SystemOptions]) -> None: ...
    @property
    def closed(self) -> bool: ...
    def node(self, **options: Unpack[_NodeOptions]) -> Node: ...
    def pod(
        self,
        nodes: int | Sequence[_NodeOptions],
        name: str = "pod0",
        sub_workers: int = 0,
        workers: Sequence[_WorkerOptions] | None = None,
    ) -> Node: ...
    def actors(self) -> int: ...
    def close(self) -> None: ...
    def __enter__(self) -> System: ...
    def __exit__(self, *args: Any) -> None: ...

def in_(tensor: _Array, /) -> TensorArgument: ...
def out(tensor: _Array, /) -> TensorArgument: ...
def inout(tensor: _Array, /) -> TensorArgument: ...
def out_existing(tensor: _Array, /) -> TensorArgument: ...
def no_dep(tensor: _Array, /) -> TensorArgument: ...
def scalar(value: Any, type: _DType | None = None) -> ScalarArgument: ...
def submit(
    self: Orchestrator,
    callable: str | Callable[..., Any] | Plan,
    /,
    *items: _Argument | Slot | float,
    on_chip: int | None = None,
    name: str | None = None,
    after: Wait | Iterable[Wait] | None = None,
    priority: int | None = None,
    deadline: float | None = None,
    retry: int | None = None,
    idempotent: bool | None = None,
    blocks: int | None = None,
    config: CallConfig | None = None,
) -> Wait: ...
def args(*items: _Argument) -> Args: ...
def earliest_finish(task: TaskToPlace, chips: Sequence[ChipForTask]) -> ChipForTask: ...
def least_loaded(task: TaskToPlace, chips: Sequence[ChipForTask]) -> ChipForTask: ...
def where_the_data_is(task: TaskToPlace, chips: Sequence[ChipForTask]) -> ChipForTask: ...
def kernel(
    source: str,
    *,
    targets: Sequence[Literal["sim", "opencl", "cuda"]] | None = None,
    flags: Sequence[str] = (),
    name: str = "text",
) -> Module: ...
def program(function: _F) -> _F: ...
def host_function(function: _F) -> _F: ...
def parameters_of(function: Callable[..., Any]) -> list[tuple[str, Any, bool]]: ...

# The name of a window buffer, or an array for each rank.
_Arrays = str | Sequence[_Array]

def all_reduce(
    node: Orchestrator,
    domain: Domain,
    data: _Arrays,
    result: _Arrays | None = None,
    *,
    operation: _Operation = "sum",
    algorithm: _Algorithm = "automatic",
    dtype: _DType = "float32",
    workspace: str = "workspace",
    **options: Unpack[_SubmitOptions],
) -> Wait: ...
def all_gather(
    node: Orchestrator,
    domain: Domain,
    data: _Arrays,
    result: _Arrays | None = None,
    *,
    dtype: _DType = "float32",
    workspace: str = "workspace",
    **options: Unpack[_SubmitOptions],
) -> Wait: ...
def reduce_scatter(
    node: Orchestrator,
    domain: Domain,
    data: _Arrays,
    result: _Arrays | None = None,
    *,
    operation: _Operation = "sum",
    dtype: _DType = "float32",
    workspace: str = "workspace",
    **options: Unpack[_SubmitOptions],
) -> Wait: ...
def broadcast(
    node: Orchestrator,
    domain: Domain,
    data: _Arrays,
    *,
    root: int = 0,
    dtype: _DType = "float32",
    workspace: str = "workspace",
    **options: Unpack[_SubmitOptions],
) -> Wait: ...
def all_to_all(
    node: Orchestrator,
    domain: Domain,
    data: _Arrays,
    result: _Arrays,
    *,
    dtype: _DType = "float32",
    workspace: str = "workspace",
    **options: Unpack[_SubmitOptions],
) -> Wait: ...

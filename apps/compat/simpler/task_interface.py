"""The types that scripts use, and the chip worker."""

from ._bootstrap_types import (
    CHIP_BOOTSTRAP_MAILBOX_SIZE,
    ChipBootstrapChannel,
    ChipBootstrapConfig,
    ChipBootstrapMailboxState,
    ChipBootstrapResult,
    ChipBufferSpec,
    ChipCommBootstrapConfig,
    ChipContext,
    HostBufferStaging,
)
from ._call_config import CallConfig, RuntimeEnv
from ._callables import ChipCallable, CoreCallable
from ._chip_tensors import ChipStorageTaskArgs, ChipTensor, ContinuousTensor
from ._chip_worker import ChipWorker
from ._domains import ChipDomainContext, CommBufferSpec, CommDomainHandle, GlobalCommDomainHandle, GlobalCommDomainView
from ._mailbox import *  # noqa: F403
from ._mailbox import _Worker, read_args_from_blob
from ._remote import RemoteAddressSpace, RemoteBufferExport, RemoteBufferHandle, RemoteTensorRef
from ._task_args import TaskArgs
from ._types import (
    MAX_TENSOR_DIMS,
    ArgDirection,
    DataType,
    TaskState,
    TensorArgType,
    WorkerType,
    arg_direction_name,
    get_dtype_name,
    get_element_size,
    scalar_to_uint64,
)
from .buffer import Tensor

CONTINUOUS_TENSOR_MAX_DIMS = MAX_TENSOR_DIMS
#: What submit_* returned in April 2026; now they return nothing.
SubmitResult = type(None)

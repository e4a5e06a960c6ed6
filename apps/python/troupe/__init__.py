"""troupe: graphs of tasks over machines with many accelerator chips.

    import numpy as np
    import troupe
    from troupe import inout, out

    @troupe.program
    async def refine(node, x, tolerance):
        while True:
            err = node.alloc(1)
            node.submit("step", inout(x), out(err))
            if await node.read(err) < tolerance:
                return

    with troupe.System(platform="a2a3sim", chips=2) as system:
        node = system.node()
        node.load("libmy_kernels.so")
        node.run(refine, np.ones(1024, "float32"), 1e-6)

A System owns the machine, a Node runs programs, a program submits tasks. help(troupe.System), help(troupe.Node),
help(troupe.Orchestrator) and help(troupe.submit) say what each can do.
"""

import atexit as _atexit

try:
    import _xxsubinterpreters as _interpreters
except ImportError:
    _interpreters = None
# Before the module is loaded: where it is the first of its kind, loading it would wait for ever in another one.
if _interpreters is not None and _interpreters.get_current() != _interpreters.get_main():
    raise ImportError("troupe works in the main interpreter only, not in subinterpreters")

from ._core import _check_interpreter

_check_interpreter()

from ._core import (
    Args,
    CallConfig,
    Chip,
    ChipForTask,
    Collectives,
    Communicator,
    Domain,
    DomainContext,
    Handle,
    LearnedCost,
    Node,
    Orchestrator,
    Plan,
    PlanParameter,
    Rank,
    Report,
    ScalarArgument,
    Scope,
    Slot,
    Status,
    Stop,
    System,
    TaskToPlace,
    Tensor,
    TensorArgument,
    Trace,
    Wait,
    args,
    earliest_finish,
    in_,
    inout,
    least_loaded,
    no_dep,
    out,
    out_existing,
    scalar,
    where_the_data_is,
)
from ._core import _close_all
from ._awaiting import install as _install_awaiting
from ._build import VERSION as __version__
from ._collectives import COLLECTIVE_WORKSPACE, COLLECTIVES, all_gather, all_reduce, all_to_all, broadcast, reduce_scatter
from ._errors import Error
from ._kernels import Module, kernel
from ._notebook import install as _install
from ._programs import host_function, parameters_of, program, submit

__all__ = [
    "COLLECTIVES",
    "COLLECTIVE_WORKSPACE",
    "Args",
    "CallConfig",
    "Chip",
    "ChipForTask",
    "Collectives",
    "Communicator",
    "Domain",
    "DomainContext",
    "Error",
    "Handle",
    "LearnedCost",
    "Module",
    "Node",
    "Orchestrator",
    "Plan",
    "PlanParameter",
    "Rank",
    "Report",
    "ScalarArgument",
    "Scope",
    "Slot",
    "Status",
    "Stop",
    "System",
    "TaskToPlace",
    "Tensor",
    "TensorArgument",
    "Trace",
    "Wait",
    "all_gather",
    "all_reduce",
    "all_to_all",
    "args",
    "broadcast",
    "earliest_finish",
    "host_function",
    "in_",
    "inout",
    "kernel",
    "least_loaded",
    "no_dep",
    "out",
    "out_existing",
    "parameters_of",
    "program",
    "reduce_scatter",
    "scalar",
    "submit",
    "where_the_data_is",
]


def _await(self):
    return (yield self)


Wait.__await__ = _await
# Runs that are still in flight end before the interpreter does.
_atexit.register(_close_all)
_install_awaiting()
_install()
del _atexit, _await, _check_interpreter, _install, _install_awaiting, _interpreters

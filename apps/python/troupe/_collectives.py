"""The collective kernels as calls: one group task, with a member on the chip of each rank of a domain."""

from ._build import MODULES as _modules
from ._core import Domain, Orchestrator, args, in_, inout, out, scalar
from ._errors import Error
from ._mistakes import shown as _shown

#: The module with the collective kernels: node.load(troupe.COLLECTIVES).
COLLECTIVES = _modules + "/libtroupe_collectives.so"
#: Bytes of the window buffer "workspace" that is enough for each of them.
COLLECTIVE_WORKSPACE = 4096 + (1 << 20)

_OPERATIONS = ["sum", "min", "max"]
_ALGORITHMS = ["automatic", "one_phase", "two_phase", "ring", "bidirectional_ring"]


def _number_of(word, words, what):
    if isinstance(word, str) and word in words:
        return scalar(words.index(word))
    raise Error("bad_argument", f"{what} {_shown(word)}", "there are " + ", ".join(words))


def _array(rank, given, dtype):
    """That of one rank: of a window by its name, or one of those that were given."""
    return rank.buffer(given, dtype) if isinstance(given, str) else given[rank.index]


def _check(node, domain, workspace, data, result):
    if not isinstance(node, Orchestrator):
        what = f"node is what a program is called with, and {_shown(node)} is none"
        raise Error("bad_argument", what, "def program(node): …")
    if not isinstance(domain, Domain):
        what = f"domain is a troupe.Domain, and {_shown(domain)} is none"
        raise Error("bad_argument", what, "domain = await node.allocate_domain(…)")
    if not isinstance(workspace, str):
        raise Error("bad_argument", f"workspace is the name of a buffer of the domain, and {_shown(workspace)} is none")
    for one in (data, result):
        if isinstance(one, str) or one is None and one is not data:
            continue
        if not isinstance(one, (list, tuple)):
            what = f"{_shown(one)} is neither the name of a buffer nor a list of arrays"
            raise Error("bad_argument", what, "one for each rank, or the name of a buffer")
        if len(one) != len(domain):
            raise Error("bad_argument", f"{len(one)} arrays for {len(domain)} ranks", "one for each rank, or the name of a buffer")


def _submit(node, kernel, domain, data, result, numbers, dtype, workspace, options):
    _check(node, domain, workspace, data, result)

    def member(rank):
        mine = _array(rank, data, dtype)
        arrays = [inout(mine)] if result is None else [in_(mine), out(_array(rank, result, dtype))]
        return args(*arrays, inout(rank.buffer(workspace, "uint8")), rank.context(), *numbers)

    return node.submit_group(kernel, domain.each(member), **options)


def all_reduce(
    node, domain, data, result=None, *, operation="sum", algorithm="automatic", dtype="float32", workspace="workspace", **options
):
    """Every rank of a domain gets the sum of all: a task, as of node.submit_group.

        domain = await node.allocate_domain([0, 1], {"x": 4096, "workspace": troupe.COLLECTIVE_WORKSPACE})
        await troupe.all_reduce(node, domain, "x")

    data, result  the name of a buffer of the domain, or a tensor or array for each rank, in a list; without `result`
                  it happens in place
    operation     "sum", "min" or "max"
    algorithm     "automatic", "one_phase", "two_phase", "ring" or "bidirectional_ring"
    dtype         of the elements, where data is the name of a buffer
    workspace     the name of a buffer of the domain, of troupe.COLLECTIVE_WORKSPACE bytes

    Options as for submit. The node needs the kernels: node.load(troupe.COLLECTIVES).
    """
    numbers = [_number_of(operation, _OPERATIONS, "operation"), _number_of(algorithm, _ALGORITHMS, "algorithm")]
    return _submit(node, "all_reduce", domain, data, result, numbers, dtype, workspace, options)


def all_gather(node, domain, data, result=None, *, dtype="float32", workspace="workspace", **options):
    """Every rank gets the parts of all. In place, `data` has each rank's part where it belongs; see all_reduce."""
    return _submit(node, "all_gather", domain, data, result, [], dtype, workspace, options)


def reduce_scatter(node, domain, data, result=None, *, operation="sum", dtype="float32", workspace="workspace", **options):
    """Every rank gets its part of the sum: the first `elements % ranks` ranks one element more; see all_reduce."""
    numbers = [_number_of(operation, _OPERATIONS, "operation")]
    return _submit(node, "reduce_scatter", domain, data, result, numbers, dtype, workspace, options)


def broadcast(node, domain, data, *, root=0, dtype="float32", workspace="workspace", **options):
    """Every rank gets what the rank `root` has; see all_reduce."""
    return _submit(node, "broadcast", domain, data, None, [scalar(root)], dtype, workspace, options)


def all_to_all(node, domain, data, result, *, dtype="float32", workspace="workspace", **options):
    """Every rank gets a block of each rank's, whose sizes are a multiple of the ranks; see all_reduce."""
    return _submit(node, "all_to_all", domain, data, result, [], dtype, workspace, options)

"""Workers on other machines: named, and refused."""


def refuse_remote(what):
    raise NotImplementedError(f"{what}: workers of other machines are not part of this surface; troupe's own pods and "
                              "nodes are (docs/distribution.md)")


class RemoteCallable:
    """A function by its name, on another machine."""

    def __init__(self, target=None, *args, **kwargs):
        self.target, self.args, self.kwargs = target, args, kwargs


class RemoteWorkerSpec:
    """Another machine."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs


class MpiL3GroupSpec(RemoteWorkerSpec):
    """Several of them, that mpirun starts."""


class _Refused:
    is_remote = True

    def __init__(self, *_, **__):
        refuse_remote(type(self).__name__)


class RemoteAddressSpace(_Refused):
    pass


class RemoteBufferHandle(_Refused):
    pass


class RemoteBufferExport(_Refused):
    pass


class RemoteTensorRef(_Refused):
    pass

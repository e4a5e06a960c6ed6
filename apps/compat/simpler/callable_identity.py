"""What register() returns: the name of a callable by its content."""


class CallableHandle:
    """A registered callable. The same content has the same digest, whoever registered it."""

    __slots__ = ("digest", "kind", "name", "index", "target", "live")

    def __init__(self, digest, kind, name, index, target):
        self.digest = digest  # SHA-256 of the content
        self.kind = kind  # "chip" or "python"
        self.name = name
        self.index = index
        self.target = target
        self.live = True

    @property
    def hashid(self):
        return self.digest.hex()

    def __index__(self):
        return self.index

    __int__ = __index__

    def __eq__(self, other):
        if isinstance(other, CallableHandle):
            return self.digest == other.digest
        return isinstance(other, int) and self.index == other

    def __hash__(self):
        return hash(self.digest)

    def __repr__(self):
        return f"<CallableHandle {self.kind} {self.name} {self.digest.hex()[:12]}>"


__all__ = ["CallableHandle"]

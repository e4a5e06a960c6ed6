"""The exception that every call of troupe raises."""


class Error(Exception):
    """Something went wrong: a code, a message that names your thing, and a hint.

    code     stable, as "bad_argument" or "task_failed"; docs/errors.md lists them
    number   the same as a number
    message  what happened; of code in Python it ends with the traceback
    hint     what to do about it, or ""
    path     where it happened: "pod0/node1/chip3", or ""

    Errors that caused it are behind it as __cause__.
    """

    def __init__(self, code, message="", hint="", path="", number=0, native=None):
        super().__init__(code, message)
        self.code = code
        self.number = number
        self.message = message
        self.hint = hint
        self.path = path
        self._native = native

    def __str__(self):
        text = f"{self.path}: " if self.path else ""
        first, *rest = self.message.split("\n")
        text += f"{first} ({self.code})"
        if self.hint:
            text += f"\n  hint: {self.hint}"
        return "\n".join([text, *rest])

    def __reduce__(self):
        return (Error, (self.code, self.message, self.hint, self.path, self.number))

    @property
    def root(self):
        """The error at the end of the chain: what went wrong first."""
        last = self
        while isinstance(last.__cause__, Error):
            last = last.__cause__
        return last

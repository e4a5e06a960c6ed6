"""What belongs to the processes of the other system and has no part here: named, so that imports work."""


MAILBOX_SIZE = 4096
MAILBOX_OFF_ERROR_MSG = 3840
MAILBOX_ERROR_MSG_SIZE = 256
MAILBOX_FRAME_SIZE = MAILBOX_SIZE

__all__ = ["MAILBOX_ERROR_MSG_SIZE", "MAILBOX_FRAME_SIZE", "MAILBOX_OFF_ERROR_MSG", "MAILBOX_SIZE"]


def read_args_from_blob(*_):
    """Arguments do not travel in mailboxes here."""
    raise NotImplementedError("there are no mailboxes between processes here: chips are actors of this process")


class _Worker:
    """The native worker of the other system."""

    def __init__(self, *_, **__):
        raise NotImplementedError("the native worker has no counterpart here: simpler.worker.Worker is over troupe")



"""The native module of the other system, by its name: what scripts take from it."""

from simpler._registry import MAX_REGISTERED_CALLABLE_IDS
from simpler.buffer import OWNER_INSTANCE_ID_BYTES
from simpler.task_interface import *  # noqa: F403

"""The Python surface of the system that troupe re-imagines, over troupe: programs for it run as they are."""

from ._log import DEFAULT_THRESHOLD, NUL, TIMING, get_current_config, get_logger

__all__ = ["DEFAULT_THRESHOLD", "NUL", "TIMING", "Worker", "comm_endpoints", "get_current_config", "get_logger",
           "task_interface"]


def __getattr__(name):
    import importlib

    if name == "Worker":
        return importlib.import_module(".worker", __name__).Worker
    if name in ("task_interface", "comm_endpoints"):
        return importlib.import_module("." + name, __name__)
    raise AttributeError(f"module 'simpler' has no attribute '{name}'")

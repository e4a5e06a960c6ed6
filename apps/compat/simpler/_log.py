"""Levels and the logger. TIMING lies between INFO and WARNING; NUL silences."""

import logging

TIMING = 25
NUL = 60
DEFAULT_THRESHOLD = TIMING

logging.addLevelName(TIMING, "TIMING")
logging.addLevelName(NUL, "NUL")

_logger = logging.getLogger("simpler")
if _logger.level == logging.NOTSET:
    _logger.setLevel(DEFAULT_THRESHOLD)


def get_logger():
    return _logger


def troupe_level():
    """What of troupe's log is wanted: orchestrations log there, too. Their timing lines are troupe's information."""
    level = _logger.getEffectiveLevel()
    for most, name in ((logging.DEBUG, "debug"), (TIMING - 1, "info"), (logging.WARNING, "warning"),
                       (logging.CRITICAL, "error")):
        if level <= most:
            return name
    return "off"


def get_current_config():
    """The threshold, as chip workers are given it."""
    return _logger.getEffectiveLevel()

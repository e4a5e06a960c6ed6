"""Finds the package troupe: where Python finds it, or in the same installation."""

import os
import sys

try:
    import troupe
except ImportError:
    _here = os.path.dirname(os.path.abspath(__file__))
    _package = os.path.normpath(os.path.join(_here, *[os.pardir] * 4, "lib", "python3", "dist-packages"))
    if not os.path.isdir(os.path.join(_package, "troupe")):
        raise
    sys.path.append(_package)
    import troupe

from troupe import _core as core

raw = core._raw

__all__ = ["core", "raw", "troupe"]

"""Which Callboard this is. Short: it imports nothing of ours, and all may import it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

__all__ = ["callboard_version"]

_PREFIX: Final = "callboard-"
_SUFFIX: Final = ".dist-info"


def callboard_version() -> str:
    """The installed distribution's version; ``unknown`` where it runs without being installed."""
    # PERF: importlib.metadata keeps 1.4 MiB, and reads what the folder's name says (PEP 376).
    for folder in sys.path:
        for found in Path(folder or ".").glob(f"{_PREFIX}*{_SUFFIX}"):
            return found.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return "unknown"

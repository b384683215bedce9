"""Which Callboard this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["callboard_version"]


def callboard_version() -> str:
    """The installed distribution's version; ``unknown`` where it runs without being installed."""
    try:
        return version("callboard")
    except PackageNotFoundError:
        return "unknown"

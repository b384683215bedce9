"""Whose CPU time it was: the threads of a process, grouped by what they are for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["OTHERS", "ROLES", "grouped", "role_of", "thread_seconds", "waited_seconds"]

ROLES: Final = (
    ("http-io", "http loop"),
    ("serving/http", "http loop"),
    ("stock-loop", "http loop"),
    ("waitress-", "workers"),
    ("eventloop", "event loop"),
    ("serving/eventloop", "event loop"),
    ("event-loop", "event loop"),
    ("bench-engine", "engine"),
)
"""What a thread's name begins with, and its role; an answer's threads, and the engine's own."""

OTHERS: Final = "others"
"""Supervisors, discovery, the registry's timers, engines with threads of their own."""

_NANO: Final = 1e9


def role_of(name: str) -> str:
    """The role of a thread by its name."""
    return next((role for prefix, role in ROLES if name.startswith(prefix)), OTHERS)


def thread_seconds(pid: int) -> dict[int, float]:
    """User and system time of each living thread, in seconds, from the scheduler's nanoseconds."""
    return _schedstat(pid, 0)


def waited_seconds(pid: int) -> float:
    """Seconds that the living threads could have run but waited for a core.

    For one another, or for other processes: much of it means that the machine was not ours alone.
    """
    return sum(_schedstat(pid, 1).values())


def _schedstat(pid: int, column: int) -> dict[int, float]:
    found: dict[int, float] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            found[int(task.name)] = int((task / "schedstat").read_text().split()[column]) / _NANO
        except FileNotFoundError:
            continue  # it ended a moment ago
    return found


def grouped(
    before: Mapping[int, float], after: Mapping[int, float], names: Mapping[int, str]
) -> dict[str, float]:
    """Seconds that each role spent between two readings; ``names`` are by thread id."""
    found: dict[str, float] = {}
    for thread, seconds in after.items():
        role = role_of(names.get(thread, ""))
        found[role] = found.get(role, 0.0) + seconds - before.get(thread, 0.0)
    return found

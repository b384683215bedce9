"""Arguments that can't be right: each is refused where it was given, by its name."""

from __future__ import annotations

import inspect
from types import CoroutineType
from typing import Any, Final, NoReturn, Self

__all__ = [
    "Handle",
    "check_callable",
    "check_path",
    "check_seconds",
    "check_sync",
    "refuse_coroutine",
]


class Handle:
    """The base of what is shared and never duplicated: addresses, tokens, trees.

    ``copy`` and ``deepcopy`` (so ``dataclasses.asdict``, too) return the object itself; ``pickle``
    raises ``TypeError``, because no other process has what it stands for.
    """

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        return self

    def __reduce_ex__(self, _protocol: object) -> NoReturn:
        kind = type(self).__name__
        what = f"{self!r} can't be pickled: it is a handle that means something in this process"
        raise TypeError(f"{what} only. Send what its {kind} is called by instead, as a path")


HOOKS: Final = ("on_start", "on_receive", "on_stop", "on_failure")
"""What an actor's thread calls, and waits for."""


def check_seconds(where: str, value: Any) -> None:
    """Raise unless ``value`` is a number of seconds, 0 or more: ``TypeError`` or ``ValueError``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{where} is {value!r}, but must be a number of seconds, 0 or more")
    if not value >= 0:  # NaN is neither
        raise ValueError(f"{where} is {value!r}, but must be 0 or more seconds")


def check_callable(where: str, value: Any) -> None:
    """Raise ``TypeError`` unless ``value`` is a function that can be called without ``await``."""
    if not callable(value):
        raise TypeError(f"{where}: {value!r} is not callable")
    if inspect.iscoroutinefunction(value):
        raise TypeError(f"{where}: {value!r} is an async function, which would never be awaited")


def check_path(value: Any) -> None:
    """Raise ``TypeError`` unless ``value`` is text, as the path of a child is."""
    if not isinstance(value, str):
        raise TypeError(f"the path is {value!r}, but must be text, as in 'serving/http'")


def check_sync(cls: type) -> None:
    """Raise ``TypeError`` if one of the hooks of ``cls`` is ``async``."""
    for name in HOOKS:
        if inspect.iscoroutinefunction(getattr(cls, name, None)):
            raise TypeError(
                f"{cls.__qualname__}.{name} is async, but actors run on threads: "
                f"write `def {name}`, and asyncio.run(...) in it where it must be"
            )


def refuse_coroutine(where: str, answer: CoroutineType[Any, Any, Any]) -> NoReturn:
    """Close a returned coroutine, which would never be awaited, and raise ``TypeError``."""
    answer.close()
    name = answer.__qualname__
    raise TypeError(f"{where} returned the coroutine of {name}, which would never be awaited")

"""Handles: objects that stand for something that lives once, so a copy of one is the same one."""

from __future__ import annotations

from typing import NoReturn, Self

__all__ = ["Handle"]


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

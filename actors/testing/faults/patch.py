"""Stands in front of one attribute; several may stand there, and leave in any order.

Two faults of one method are usual: an actor that is slow *and* crashes. Whichever heals first must
leave the other on, and the last one out leaves the attribute as it was before the first.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, Final

from actors.testing.faults.fault import FaultUnavailable

__all__ = ["Patch"]

Instead = Callable[..., Any]
"""Called with what it stands in front of, then with the caller's arguments."""

_ABSENT: Final = object()
_lock: Final = threading.Lock()
_standing: Final[dict[tuple[int, str], _Place]] = {}
"""Attributes with a patch in front; a place keeps its owner alive, so that no id is used twice."""


class Patch:
    """``instead(original, *arguments)`` in place of ``owner.name``, from :meth:`put` to `remove`.

    ``owner`` is a class, a module or an object. Any thread. Code that still holds the replaced
    function after :meth:`remove` reaches the original through it.
    """

    def __init__(self, owner: Any, name: str, instead: Instead) -> None:
        self.instead = instead
        self.live = False
        self._owner, self._name = owner, name

    def put(self) -> None:
        """Stand in front. Raises :class:`FaultUnavailable` where there is nothing to replace."""
        with _lock:
            place = _standing.get((id(self._owner), self._name))
            if place is None:
                place = _Place(self._owner, self._name)
            place.stand([*place.patches, self])
            self.live = True
            _standing[id(self._owner), self._name] = place

    def remove(self) -> None:
        """Step aside; nothing happens if it does not stand there."""
        with _lock:
            self.live = False
            place = _standing.get((id(self._owner), self._name))
            if place is None or self not in place.patches:
                return
            place.stand([each for each in place.patches if each is not self])
            if not place.patches:
                del _standing[id(self._owner), self._name]

    def around(self, inner: Callable[..., Any]) -> Callable[..., Any]:
        """What is called while this stands in front of ``inner``."""

        @functools.wraps(inner)
        def call(*arguments: Any, **named: Any) -> Any:
            if self.live:
                return self.instead(inner, *arguments, **named)
            return inner(*arguments, **named)

        return call


class _Place:
    """One attribute: what it was, and who stands in front of it."""

    def __init__(self, owner: Any, name: str) -> None:
        self._owner, self._name = owner, name
        self._found: Any = getattr(owner, name, None)
        self._own = getattr(owner, "__dict__", {}).get(name, _ABSENT)
        self.patches: list[Patch] = []
        if not callable(self._found):
            what = getattr(owner, "__name__", None) or f"a {type(owner).__name__}"
            raise FaultUnavailable(f"{what} has no method {name!r} that could misbehave")

    def stand(self, patches: list[Patch]) -> None:
        """Have exactly these in front, the last one first; with none the attribute is as before."""
        call = self._found
        for each in patches:
            call = each.around(call)
        try:
            if patches:
                setattr(self._owner, self._name, call)
            elif self._own is _ABSENT:
                delattr(self._owner, self._name)
            else:
                setattr(self._owner, self._name, self._own)
        except (AttributeError, TypeError) as error:
            raise FaultUnavailable(f"{self._name!r} can't be replaced: {error}") from None
        self.patches = patches

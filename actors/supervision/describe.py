"""A tree to look at: frozen records, and the text that they print as."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from actors.supervision.exit import Exit

__all__ = ["ChildView", "TreeView"]


@dataclass(frozen=True, slots=True)
class ChildView:
    """One child at one moment.

    ``state`` is ``starting``, ``up``, ``restarting`` or ``down``; ``epoch`` counts incarnations
    from 1; ``mailbox_depth`` is how many messages wait; ``busy_for`` how many seconds the current
    message has taken so far (``None`` while idle); ``children`` are those of a nested supervisor.
    """

    id: str
    path: str
    state: str
    epoch: int
    mailbox_depth: int = 0
    busy_for: float | None = None
    last_exit: Exit | None = None
    supervisor: bool = False
    children: tuple[ChildView, ...] = ()

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return max(0, self.epoch - 1)

    def __str__(self) -> str:
        parts = [self.id, self.state, f"epoch {self.epoch}"]
        if self.mailbox_depth:
            parts.append(f"{self.mailbox_depth} waiting")
        if self.busy_for is not None:
            parts.append(f"busy for {self.busy_for:.1f} s")
        if self.last_exit is not None:
            parts.append(f"last exit: {self.last_exit}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class TreeView:
    """A whole tree at one moment; ``str()`` draws it.

    ``exit`` is how it ended, ``None`` while it runs.
    """

    name: str
    children: tuple[ChildView, ...]
    exit: Exit | None = None

    def __str__(self) -> str:
        title = self.name if self.exit is None else f"{self.name}, ended: {self.exit}"
        return "\n".join([title, *_lines(self.children, "")])


def _lines(children: tuple[ChildView, ...], indent: str) -> Iterator[str]:
    left = [(child, indent, at == 0) for at, child in enumerate(reversed(children))]
    while left:
        child, indent, last = left.pop()
        yield f"{indent}{'└─' if last else '├─'} {child}"
        indent += "   " if last else "│  "
        left += [(each, indent, at == 0) for at, each in enumerate(reversed(child.children))]

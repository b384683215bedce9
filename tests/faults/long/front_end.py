"""The front-end's half of discovery, its registry watched message by message."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

from actors.registry import RegistryActor
from actors.registry.messages import DropInstance, PutInstance
from actors.supervision import Child, Supervisor
from discovery.actor import discovery_child
from discovery.source import Source
from discovery.status import StatusBoard
from tests.discovery.fakes import Factory, FakeEngine

__all__ = ["FrontEnd", "Guard"]


class Guard:
    """Stands before the real registry: keeps what it was told, and every drop of a steady model."""

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask: Final = ask
        self._lock: Final = threading.Lock()
        self._held: dict[str, str] = {}
        self.wrong: list[str] = []
        """Steady models that were dropped although their key never went."""
        self.drops = 0

    def ask(self, message: Any, *, timeout: float) -> Any:
        """Pass a message on; note it once the registry has done it."""
        answer = self._ask(message, timeout=timeout)
        with self._lock:
            if isinstance(message, PutInstance):
                assert isinstance(message.engine, FakeEngine)
                self._held[message.model] = message.engine.entry.url
            elif isinstance(message, DropInstance):
                self.drops += 1
                self._held.pop(message.model, None)
                if message.model.startswith("steady"):
                    self.wrong.append(message.model)
        return answer

    @property
    def held(self) -> dict[str, str]:
        """Model to URL, as the registry has it now."""
        with self._lock:
            return dict(self._held)


class FrontEnd:
    """A tree with the real registry and the discovery actor on ``source``; a context manager."""

    def __init__(self, source: Source) -> None:
        self.board: Final = StatusBoard("etcd")
        registry = Child("registry", RegistryActor.start, hand_over=True)
        self._tree: Final = Supervisor.start(registry, intensity=1000)
        self.guard: Final = Guard(self._tree.address("registry").ask)
        self._tree.start_child(
            discovery_child(source, self.guard, Factory(), board=self.board, close_grace=0.0)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._tree.stop(timeout=10)

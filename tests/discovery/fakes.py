"""A registry and engines that only keep a record."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

from actors.engines.contract import Context, EngineRequest, Kind, Sink
from actors.registry.messages import DropInstance, PutInstance
from discovery.entry import Entry

__all__ = ["Factory", "FakeEngine", "FakeRegistry"]


@dataclass(eq=False)
class FakeEngine:
    """Knows its entry and whether it was closed."""

    entry: Entry
    closed: int = 0

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        raise AssertionError("not called here")

    def close(self) -> None:
        self.closed += 1


@dataclass
class Factory:
    """Makes engines and keeps them; raises ``failure`` instead if that is set."""

    made: list[FakeEngine] = field(default_factory=list[FakeEngine])
    failure: Exception | None = None

    def __call__(self, entry: Entry) -> FakeEngine:
        if self.failure is not None:
            raise self.failure
        engine = FakeEngine(entry)
        self.made.append(engine)
        return engine


class FakeRegistry:
    """Answers as the registry's address does; raises ``failure`` once per ``failures``."""

    def __init__(self) -> None:
        self.instances: dict[tuple[Kind, str, str], FakeEngine] = {}
        self.messages: list[PutInstance | DropInstance] = []
        self.failure: Exception = TimeoutError("the registry does not answer")
        self.failures = 0
        self.lock = threading.Lock()

    def ask(self, message: Any, *, timeout: float) -> None:
        assert 0 < timeout < 60
        with self.lock:
            if self.failures:
                self.failures -= 1
                raise self.failure
            self.messages.append(message)
            where = (message.kind, message.model, message.instance)
            if isinstance(message, PutInstance):
                assert isinstance(message.engine, FakeEngine)
                assert not message.engine.closed, "a closed engine was offered"
                self.instances[where] = message.engine
            else:
                assert isinstance(message, DropInstance)
                engine = self.instances.pop(where, None)
                assert engine is None or not engine.closed, "closed while it was in use"

    @property
    def names(self) -> set[str]:
        """Every instance as ``kind/model#instance``."""
        with self.lock:
            return {f"{kind}/{model}#{instance}" for kind, model, instance in self.instances}

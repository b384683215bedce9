"""Engines that only have an identity: the registry never calls one."""

from __future__ import annotations

from actors.engines.contract import Context, EngineRequest, Sink

__all__ = ["NamedEngine"]


class NamedEngine:
    """An engine that is told apart by its name and refuses to be used."""

    def __init__(self, name: str = "engine") -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        raise AssertionError("the registry must never call an engine")

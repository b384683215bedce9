"""The instances that serve one model, as an immutable engine that picks one for each request.

Immutable, so that the registry can change a pool by replacing it while requests go on in the old
one. Only the turn is shared by a pool and those made from it: round robin goes on after a change.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Final

from actors.engines.contract import Context, Engine, EngineRequest, Sink
from actors.engines.errors import EngineUnavailable

__all__ = ["Instance", "Pool"]

# Seconds that a client waits before it asks again for a model that has no instance left.
_RETRY_AFTER: Final = 1


@dataclass(frozen=True, slots=True)
class Instance:
    """One server of a model; ``id`` is unique within its pool."""

    id: str
    engine: Engine


class Pool:
    """An engine made of instances that take turns. Truthy while it has one."""

    __slots__ = ("_turn", "instances")

    def __init__(self, instances: tuple[Instance, ...] = (), *, turn: count[int] | None = None):
        ids = [instance.id for instance in instances]
        if len(ids) != len(set(ids)):
            raise ValueError(f"the instances {ids} of a pool must have different ids")
        self.instances: Final = instances
        # PERF: next() of a count is atomic under the GIL; a lock would cost more than the choice.
        self._turn: Final = count() if turn is None else turn

    def __len__(self) -> int:
        return len(self.instances)

    def __repr__(self) -> str:
        return f"<Pool of {[instance.id for instance in self.instances]}>"

    def with_instance(self, instance_id: str, engine: Engine) -> Pool:
        """This pool with one more instance, last; one of the same id is replaced in its place."""
        new = Instance(instance_id, engine)
        if any(old.id == instance_id for old in self.instances):
            kept = (new if old.id == instance_id else old for old in self.instances)
            return Pool(tuple(kept), turn=self._turn)
        return Pool((*self.instances, new), turn=self._turn)

    def without(self, instance_id: str) -> Pool:
        """This pool without that instance; the same pool if it has none of that id."""
        kept = tuple(instance for instance in self.instances if instance.id != instance_id)
        return self if len(kept) == len(self.instances) else Pool(kept, turn=self._turn)

    def select(self) -> Instance | None:
        """The instance whose turn it is; ``None`` if there is none. Callable from any thread."""
        instances = self.instances
        return instances[next(self._turn) % len(instances)] if instances else None

    def start(self, request: EngineRequest, sink: Sink, context: Context) -> None:
        """Have the next instance answer. Raises ``EngineUnavailable`` (503) without instances."""
        instance = self.select()
        if instance is None:
            raise EngineUnavailable(
                f"no instance serves {request.model!r} just now",
                status=503,
                retry_after=_RETRY_AFTER,
            )
        instance.engine.start(request, sink, context)

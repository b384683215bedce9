"""The same instance for the same key, by consistent hashing with bounded loads.

Each instance has points on a ring of 64 bits, ``POINTS`` for each unit of weight; a key belongs to
the first point after its own hash. An instance that came or went moves only the keys next to its
points. An overloaded instance hands on to the next one on the ring (``bounded_loads``).
"""

from __future__ import annotations

from bisect import bisect_right
from hashlib import blake2b
from typing import Any, Final, cast

from actors.engines.contract import Context, EngineRequest
from actors.engines.pool.instance import Instance
from actors.engines.pool.policies.bounded_loads import BoundedLoads, has_room
from actors.engines.pool.policies.registry import Key, RandomFn, policy
from actors.engines.pool.spec import PolicyName

__all__ = ["PREFIX_CHARACTERS", "ConsistentHash", "prefix_key", "session_key"]

POINTS: Final = 40
"""Points for a weight of 1: the shares of equal instances then differ by about a sixth (1/√40), and
the bound on the load takes the edge off that."""

MAX_POINTS: Final = 400
"""Points of one instance, whatever its weight: a weight of a million is no reason for a million."""

PREFIX_CHARACTERS: Final = 256
"""Characters of a prompt that decide: about a system prompt's first lines, where apps differ."""


def session_key(request: EngineRequest, context: Context) -> str:
    """The session that the client named in a header, else in ``prompt_cache_key`` or ``user``.

    Empty without any.
    """
    session = context.session
    if session is None:
        body = request.body
        session = body.get("prompt_cache_key") or body.get("user")
    return session if isinstance(session, str) else ""


def prefix_key(request: EngineRequest, _context: Context) -> str:
    """The first characters of the prompt, or of the conversation's messages with their roles."""
    body = request.body
    messages = body.get("messages")
    if isinstance(messages, list):
        return _conversation(cast("list[object]", messages))
    return _start_of(body.get("prompt"))


def _conversation(messages: list[object]) -> str:
    text = ""
    for message in messages:
        if len(text) >= PREFIX_CHARACTERS:
            break
        # PERF: a body is decoded JSON; asking for a Mapping would take ten times as long.
        if isinstance(message, dict):
            fields = cast("dict[str, Any]", message)
            text += f"{fields.get('role')}\n{_start_of(fields.get('content'))}\n"
    return text[:PREFIX_CHARACTERS]


def _start_of(content: Any) -> str:
    """The start of a text, of a list of texts or parts, or of a list of token ids."""
    if isinstance(content, str):
        return content[:PREFIX_CHARACTERS]
    if not isinstance(content, list):
        return ""
    text = ""
    for part in cast("list[object]", content):
        if len(text) >= PREFIX_CHARACTERS:
            break
        if isinstance(part, dict):
            part = cast("dict[str, Any]", part).get("text")
        text += part[:PREFIX_CHARACTERS] if isinstance(part, str) else f"{part} "[:64]
    return text[:PREFIX_CHARACTERS]


@policy(PolicyName.SESSION, key=session_key)
@policy(PolicyName.PREFIX, key=prefix_key)
class ConsistentHash(BoundedLoads):
    """A policy that keeps to keys; without a key it takes the least loaded. Not synchronised.

    PERF: points are sorted when the next request comes, not when an instance does, so ten thousand
    instances are added in linear time; sorting what is nearly sorted is one pass.
    """

    def __init__(self, random_fn: RandomFn) -> None:
        super().__init__(random_fn)
        self._owners: dict[int, Instance] = {}
        self._points: list[int] = []
        self._unsorted = False
        self._inside: dict[Instance, tuple[int, ...]] = {}
        self._weights: dict[Instance, float] = {}
        self._dead = 0

    def add(self, instance: Instance) -> None:
        """Take ``instance`` in; its points are the same each time, for they hash its id.

        Those of one that was removed stay until it is gone for good, and are stepped over.
        """
        super().add(instance)
        weight = instance.spec.weight
        if self._weights.get(instance) == weight:
            return  # it was away for a moment: its points are still on the ring
        if instance in self._inside:  # sweep the old weight's points out before the next request
            self._dead += len(self._points) + 1
        self._weights[instance] = weight
        points = self._inside[instance] = _points_of(instance.id, weight)
        for point in points:
            if point not in self._owners:
                self._points.append(point)
                self._unsorted = True
            self._owners[point] = instance

    def forget(self, instance: Instance) -> None:
        """``instance``, which was removed, is gone for good: so are its points."""
        self._dead += len(self._inside.pop(instance, ()))
        self._weights.pop(instance, None)

    def pick(self, key: Key = "") -> Instance | None:
        """The instance that ``key`` belongs to, or the next that is not overloaded."""
        if not key or not len(self):
            return self.by_load.pick()
        if self._dead or self._unsorted:
            self._tidy()
        points, owners, bound = self._points, self._owners, self.bound()
        start = bisect_right(points, _hash(cast("str", key)))
        for step in range(start, start + len(points)):
            instance = owners[points[step % len(points)]]
            if has_room(instance, bound):
                return instance
        return self.by_load.pick()

    def _tidy(self) -> None:
        """Sort new points in; sweep out dead ones once they are many."""
        if self._dead * 4 > len(self._points):
            live = {point for points in self._inside.values() for point in points}
            self._owners = {p: m for p, m in self._owners.items() if p in live and not m.gone}
            self._points = [*self._owners]
            self._dead, self._unsorted = 0, True
        if self._unsorted:
            self._points.sort()
            self._unsorted = False


def _points_of(id_: str, weight: float) -> tuple[int, ...]:
    count = min(max(round(POINTS * weight), 1), MAX_POINTS)
    return tuple(_hash(f"{id_}#{number}") for number in range(count))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())

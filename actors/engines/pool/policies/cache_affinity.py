"""Where a prompt's beginning was read before, weighed against the load (the policy ``cache``).

Reading a long prompt costs a worker far more than the first token, unless its beginning is still in
its cache (vLLM's automatic prefix caching, llama.cpp's slots). So each prompt is cut into blocks;
each block's hash includes the one before, so that equal hashes mean equal beginnings. Per model an
index holds which instances were sent which blocks. It is learned when a request is *sent*: a burst
of requests of one conversation goes to one instance.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, Final, cast

from actors.engines.contract import Context, EngineRequest
from actors.engines.pool.instance import Instance
from actors.engines.pool.policies.bounded_loads import BoundedLoads, has_room
from actors.engines.pool.policies.registry import Key, RandomFn, policy
from actors.engines.pool.spec import PolicyName

__all__ = [
    "CHARACTERS_A_REQUEST",
    "ENDS",
    "MAX_BLOCKS",
    "CacheAffinity",
    "PrefixIndex",
    "cache_key",
]

ENDS: Final = (*range(256, 2049, 256), *range(3072, 8193, 1024), *range(12_288, 65_537, 4096))
"""Characters at which a block ends. They grow: a long prompt has few, and what differs between
conversations differs early. What comes after the last one decides nothing."""

MAX_BLOCKS: Final = 200_000
"""Blocks that an index keeps, of one model: some 20 MB, a few thousand conversations."""

CHARACTERS_A_REQUEST: Final = 4096
"""Characters to read that weigh as much as one more request in flight: about 1,000 tokens, which
take a worker about as long as a hundred tokens of an answer."""

_SAVED: Final = (0.0, *(end / CHARACTERS_A_REQUEST for end in ENDS))
"""By the number of blocks that an instance has: the requests that it saves not to read them."""

_FEW: Final = 4.0
"""Requests in flight that overload no instance, however idle the others are: a burst of one
conversation may be longer than the fair share of a quiet pool."""

_MAX_CANDIDATES: Final = 16
"""Instances with a match that are looked at for one request, the longest matches first."""


_MAX_SPARE: Final = 1000
"""Numbers of holders that are gone. With more, old blocks are forgotten early, to free numbers."""


def cache_key(request: EngineRequest, _context: Context) -> tuple[int, ...]:
    """The hashes of the blocks of the prompt; empty for a prompt shorter than the first one."""
    return blocks_of(prompt_text(request.body))


def blocks_of(text: str) -> tuple[int, ...]:
    """A hash for each block that ``text`` fills, of all the text up to its end.

    They are this process' own: Python's string hash is keyed, so no client can make two collide.
    """
    if len(text) < ENDS[0]:
        return ()
    blocks: list[int] = []
    so_far = start = 0
    for end in ENDS:
        if end > len(text):
            break
        so_far = hash((so_far, text[start:end]))
        blocks.append(so_far)
        start = end
    return tuple(blocks)


def prompt_text(body: Any) -> str:
    """The prompt in the order in which chat templates render it: the tools' names, the messages.

    At least as many characters of it as decide.
    """
    messages = body.get("messages")
    if not isinstance(messages, list):
        return _text_of(body.get("prompt"))
    tools = body.get("tools")
    text = _tool_names(cast("list[object]", tools)) if isinstance(tools, list) else ""
    for message in cast("list[object]", messages):
        # PERF: a body is decoded JSON; asking for a Mapping would take ten times as long.
        if isinstance(message, dict):
            fields = cast("dict[str, Any]", message)
            calls = fields.get("tool_calls")
            text += f"{fields.get('role')}\n{_text_of(fields.get('content'))}\n{calls or ''}"
            if len(text) >= ENDS[-1]:
                break
    return text


def _tool_names(tools: list[object]) -> str:
    names = ""
    for tool in tools:
        function = cast("dict[str, Any]", tool).get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict):
            names += f"{cast('dict[str, Any]', function).get('name')}\n"
    return names


def _text_of(content: Any) -> str:
    """A text, the texts and the kinds of a list of parts, or a list of token ids."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    text = ""
    for part in cast("list[object]", content):
        if isinstance(part, dict):
            fields = cast("dict[str, Any]", part)
            inner = fields.get("text")
            # Of an image or a sound its end: the beginnings of data URLs are alike.
            text += inner if isinstance(inner, str) else str(fields)[-ENDS[0] :]
        else:
            text += part if isinstance(part, str) else f"{part} "
        if len(text) >= ENDS[-1]:
            break
    return text


class PrefixIndex:
    """Which holders were sent which blocks; a holder is a number. Pure, not synchronised.

    Keeps at most ``limit`` blocks in two generations: what was not sent again while the younger one
    filled up is forgotten with the older one.
    """

    __slots__ = ("_half", "_old", "_rotations", "_spare", "_used", "_young")

    def __init__(self, limit: int = MAX_BLOCKS) -> None:
        self._half = max(limit // 2, len(ENDS))
        # The bits of a value are the numbers of the holders.
        self._young: dict[int, int] = {}
        self._old: dict[int, int] = {}
        self._rotations = 0
        self._used = 0
        self._spare: deque[tuple[int, int]] = deque()

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def number(self) -> int:
        """A number for a new holder, which has nothing yet."""
        if self._spare and self._spare[0][0] + 2 <= self._rotations:
            return self._spare.popleft()[1]
        self._used += 1
        return self._used - 1

    def release(self, number: int) -> None:
        """The holder is gone; its number is given again once no block can name it any more."""
        self._spare.append((self._rotations, number))
        if len(self._spare) >= _MAX_SPARE:
            self._rotate()

    def learn(self, blocks: Sequence[int], number: int) -> None:
        """The holder of ``number`` was sent a prompt with ``blocks``."""
        young, old, bit = self._young, self._old, 1 << number
        for block in blocks:
            young[block] = (young.get(block) or old.get(block, 0)) | bit
        if len(young) > self._half - len(ENDS):
            self._rotate()

    def matches(self, blocks: Sequence[int]) -> list[tuple[int, int]]:
        """Sets of holders, as bits, and how many leading blocks they have; the most blocks last."""
        young, old = self._young, self._old
        found: list[tuple[int, int]] = []
        alive = -1
        for depth, block in enumerate(blocks):
            holders = alive & (young.get(block) or old.get(block, 0))
            if holders != alive:
                if depth:
                    found.append((alive & ~holders, depth))
                if not holders:
                    return found
                alive = holders
        if alive > 0:
            found.append((alive, len(blocks)))
        return found

    def _rotate(self) -> None:
        self._young, self._old = {}, self._young
        self._rotations += 1


@policy(PolicyName.CACHE, key=cache_key)
class CacheAffinity(BoundedLoads):
    """Selects the instance that costs least: characters to read, and requests in flight.

    An instance above its fair share of the load is not preferred (``bounded_loads``). Requests
    with short prompts go to the least loaded one.
    """

    def __init__(self, random_fn: RandomFn) -> None:
        super().__init__(random_fn)
        self._index = PrefixIndex()
        self._numbers: dict[Instance, int] = {}
        self._holders: dict[int, Instance] = {}

    def add(self, instance: Instance) -> None:
        """Take ``instance`` in; what it was sent before it went away for a while still counts."""
        super().add(instance)
        if instance not in self._numbers:
            number = self._numbers[instance] = self._index.number()
            self._holders[number] = instance

    def forget(self, instance: Instance) -> None:
        """``instance``, which was removed, is gone for good: so is its cache."""
        number = self._numbers.pop(instance, None)
        if number is not None:
            del self._holders[number]
            self._index.release(number)

    def pick(self, key: Key = "") -> Instance | None:
        """The instance of the lowest cost for the blocks ``key``; ``None`` if there is none."""
        chosen = self.by_load.pick()
        if not key or chosen is None:
            return chosen
        blocks = cast("tuple[int, ...]", key)
        found = self._index.matches(blocks)
        if found:
            chosen = self._cheapest(found, chosen)
        self._index.learn(blocks, self._numbers[chosen])
        return chosen

    def _cheapest(self, found: list[tuple[int, int]], least_loaded: Instance) -> Instance:
        """The instance with the lowest cost, in requests: its load, less what it need not read.

        PERF: no instance has a lower load than ``least_loaded``, so the shorter matches are not
        looked at once they could not make up for that.
        """
        number, lowest_load = self._numbers[least_loaded], least_loaded.load
        best, lowest = least_loaded, lowest_load
        for holders, depth in found:
            if holders >> number & 1:
                lowest -= _SAVED[depth]
        bound, left = max(self.bound(), _FEW), _MAX_CANDIDATES
        for holders, depth in reversed(found):
            saved = _SAVED[depth]
            if lowest_load - saved >= lowest:
                break
            while holders and left:
                left -= 1
                number = holders.bit_length() - 1
                holders ^= 1 << number
                instance = self._holders.get(number)
                if instance is not None and has_room(instance, bound):
                    cost = instance.load - saved
                    if cost < lowest:
                        best, lowest = instance, cost
        return best

"""The chunks of an instance that goes on with an answer, joined to what the client has. Pure.

The client sees one answer: one role, one id, the usage of all of it, no character twice. Whether
the new instance went on where the other one ended shows in its first characters: one that begins
the answer again, or a stop string that the cut went through, must not be shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from actors.engines.lenient_json import DICT, LIST
from actors.engines.pool.transcript import Transcript

__all__ = ["Splice", "WrongPlace", "crossing_stop", "repeats", "stops_of"]

PROBE: Final = 32
"""Characters that tell an answer that begins again from one that goes on."""

SHORT: Final = 8
"""Characters of text so far below which nothing is told by them."""


class WrongPlace(Exception):
    """The instance began the answer again, instead of going on with it."""


def stops_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """The stop strings of a request."""
    stop: Any = body.get("stop")
    stops: Sequence[Any] = stop if isinstance(stop, LIST) else (stop,)
    return tuple(each for each in stops if isinstance(each, str) and each)


def repeats(said: str, new: str) -> bool | None:
    """Whether ``new`` begins ``said`` again; ``None`` while that can't be told.

    An answer that has repeated its own beginning before (a refrain) may do so once more.
    """
    probe = said[:PROBE]
    if len(said) < SHORT or probe in said[1:]:
        return False
    if len(new) >= len(probe):
        return new.startswith(probe)
    return None if probe.startswith(new) else False


def crossing_stop(said: str, new: str, stops: Sequence[str]) -> bool | None:
    """Whether ``new`` completes a stop string that began at the end of ``said``; ``None``: not yet.

    A stop string that lies within ``new`` is found by the instance itself.
    """
    undecided = False
    for stop in stops:
        for begun in range(min(len(stop) - 1, len(said)), 0, -1):
            if said.endswith(stop[:begun]):
                rest = stop[begun:]
                if new.startswith(rest):
                    return True
                undecided = undecided or rest.startswith(new)
    return None if undecided else False


class Splice:
    """Joins the chunks of one instance to ``transcript``, which was read; one after the other."""

    __slots__ = ("_before", "_head", "_held", "_opening", "_said", "_stops", "done")

    def __init__(self, transcript: Transcript, stops: Sequence[str]) -> None:
        self._said: Final = transcript.text
        self._before: Final = transcript.spent
        self._head: Final = dict(transcript.head)
        self._stops: Final = stops
        # What it said so far, while that is not decided; afterwards None.
        self._opening: str | None = ""
        self._held: list[tuple[dict[str, Any], int]] = []
        self.done = False
        """A stop string was completed: nothing of what follows belongs to the answer."""

    def take(self, chunk: Mapping[str, Any], tokens: int) -> list[tuple[dict[str, Any], int]]:
        """What the client gets now for ``chunk``, with the tokens of each. Raises `WrongPlace`."""
        if self.done:
            return []
        joined = {**chunk, **self._head}
        if isinstance(joined.get("usage"), DICT):
            joined["usage"] = self._usage(joined["usage"])
        choices: Any = joined.get("choices")
        choice: Any = choices[0] if isinstance(choices, LIST) and choices else None
        text, wanted = "", not isinstance(choice, DICT)
        if isinstance(choice, DICT):
            choice, text, wanted = _without_role(choice)
            joined["choices"] = [choice]
        if wanted:
            self._held.append((joined, tokens))
        if self._opening is not None:
            self._opening += text
            ended = isinstance(choice, DICT) and choice.get("finish_reason") is not None
            if not self._decided(ended=ended):
                return []
        held, self._held = self._held, []
        return held

    def rest(self) -> list[tuple[dict[str, Any], int]]:
        """What is still held back where the instance has ended well."""
        held, self._held = self._held, []
        return held

    def _decided(self, *, ended: bool) -> bool:
        """Whether it went on in the right place; an answer that ends was not a beginning."""
        new = self._opening or ""
        again = repeats(self._said, new)
        if again:
            raise WrongPlace
        stopped = crossing_stop(self._said, new, self._stops)
        if not ended and (again is None or stopped is None):
            return False
        self._opening = None
        if stopped:
            self.done = True
            self._held = [(_stop_chunk(self._held[-1][0]), 0)]
        return True

    def _usage(self, usage: dict[str, Any]) -> dict[str, Any]:
        """The usage of the whole answer, of which this instance read the first part as prompt."""
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if not isinstance(prompt, int) or not isinstance(completion, int):
            return usage
        prompt, completion = max(prompt - self._before, 0), completion + self._before
        return {
            **usage,
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }


def _without_role(choice: dict[str, Any]) -> tuple[dict[str, Any], str, bool]:
    """The choice without a role, its text, and whether anything is left in it."""
    delta: Any = choice.get("delta")
    if not isinstance(delta, DICT):
        text = choice.get("text")
        return choice, text if isinstance(text, str) else "", True
    text = delta.get("content")
    rest = {name: value for name, value in delta.items() if name != "role"}
    wanted = any(rest.values()) or bool(choice.get("finish_reason"))
    return {**choice, "delta": rest}, text if isinstance(text, str) else "", wanted


def _stop_chunk(like: Mapping[str, Any]) -> dict[str, Any]:
    """A last chunk in the shape of ``like``: the answer ended at a stop string."""
    ended: dict[str, Any] = {**like["choices"][0], "finish_reason": "stop"}
    if "delta" in ended:
        ended["delta"] = {}
    else:
        ended["text"] = ""
    return {**like, "choices": [ended]}

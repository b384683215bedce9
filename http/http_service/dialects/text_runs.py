"""Chat chunks that differ in nothing but their text: found without decoding each of them. Pure.

A server that sends tokens one by one repeats the same event again and again, and one string
differs. From one such event a :class:`TextShape` is made; the next ones are recognised by comparing
bytes, and their texts are decoded all at once. What is not recognised is decoded.

PERF: decoding an event, and writing one from what was in it, takes 9 µs; this way it is one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from actors.engines.lenient_json import DICT, LIST

__all__ = ["TextRun", "TextShape", "shape_of"]

_INSIDE: Final = rb'((?:[^"\\\x00-\x1f]|\\.)*)'
"""The inside of a JSON string, near enough: what it holds is decoded."""
_FIELDS: Final = {
    name: re.compile(b'"%s": ?"%s"' % (name.encode(), _INSIDE)).search
    for name in ("content", "reasoning_content", "reasoning")
}
_OTHERS: Final = ("refusal", "tool_calls", "function_call")


class TextRun(NamedTuple):
    """The texts of events that follow one another, none of them empty.

    ``inside`` are they as JSON writes them, without their quotes; ``stop`` is where the run ends.
    """

    inside: list[bytes]
    texts: list[str]
    stop: int


class TextShape(NamedTuple):
    """What such events have in common: all before their text, and all after it."""

    before: bytes
    after: bytes
    reasoning: bool
    """Whether the text is the model's reasoning."""

    def run(self, batch: bytes, start: int) -> TextRun | None:
        """The events of this shape that follow one another from ``start`` on, if the first is."""
        before, after, find = self.before, self.after, batch.find
        inside: list[bytes] = []
        at, skip = start, len(before)
        while batch.startswith(before, at):
            end = find(after, at + skip)
            if end < 0:
                break
            inside.append(batch[at + skip : end])
            at = end + len(after)
        if not inside:
            return None
        try:
            texts: list[str] = orjson.loads(b'["%b"]' % b'","'.join(inside))
        except orjson.JSONDecodeError:
            return None
        if len(texts) != len(inside):  # a quote within one of them
            return None
        if b"" in inside:
            inside, texts = [*filter(None, inside)], [*filter(None, texts)]
        return TextRun(inside, texts, at)


def shape_of(event: bytes, chunk: Mapping[str, Any]) -> TextShape | None:
    """The shape of ``event``, which decodes to ``chunk``; ``None`` if it is not that simple.

    Simple is: one ``data`` line, the first choice, which goes on, one text, nothing else of use.
    """
    name = _only_text(chunk)
    if name is None or not event.startswith(b"data:") or not event.endswith(b"\n\n"):
        return None
    found = _FIELDS[name](event)
    if found is None or _FIELDS[name](event, found.end()) is not None:
        return None
    before, after = event[: found.start(1)], event[found.end(1) :]
    # A key that is written with escapes might be the same one; a second line might be data.
    if b"\\" in before or b"\\" in after or b"\r" in event or after.count(b"\n") != len(b"\n\n"):
        return None
    return None if b"\n" in before else TextShape(before, after, name != "content")


def _only_text(chunk: Mapping[str, Any]) -> str | None:
    """The name of the one text in ``chunk``."""
    choices: Any = chunk.get("choices")
    if not isinstance(choices, LIST) or len(choices) != 1 or not isinstance(choices[0], DICT):
        return None
    choice: Any = choices[0]
    delta: Any = choice.get("delta")
    more = any(choice.get(name) for name in ("index", "finish_reason", "stop_reason", "logprobs"))
    if more or chunk.get("usage") is not None or chunk.get("error") or not isinstance(delta, DICT):
        return None
    names = [name for name in (*_FIELDS, *_OTHERS) if delta.get(name)]
    if len(names) != 1 or names[0] not in _FIELDS or not isinstance(delta[names[0]], str):
        return None
    return names[0]

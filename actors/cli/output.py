"""How the commands print: tables, JSON and YAML, colour only for a person at a terminal.

Whatever is shown may come from a stranger: a model's name, an error's text. So control characters
never reach the terminal.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TextIO, TypeAlias, cast

__all__ = [
    "Lines",
    "Paint",
    "Screen",
    "document",
    "in_words",
    "painter",
    "progress",
    "shown",
    "table",
]

Lines: TypeAlias = Iterator[str]
Paint: TypeAlias = Callable[[str], str]

_GREEN, _AMBER, _RED = "32", "33", "31"

_COLOURS: Final = {
    **dict.fromkeys(("ready", "up", "serving", "info"), _GREEN),
    **dict.fromkeys(
        ("starting", "restarting", "on_trial", "warming", "draining", "drained", "warning"), _AMBER
    ),
    **dict.fromkeys(("down", "ejected", "open", "failed", "error", "not ready"), _RED),
}
"""The colour of each word that is a state; the word itself always stands there."""

_STATUS: Final = {"4": _AMBER, "5": _RED}
"""The colour of a status of HTTP by its first digit."""


def painter(stream: TextIO, environment: Mapping[str, str] = os.environ) -> Paint:
    """What gives a word its colour on ``stream``: on a terminal, unless ``NO_COLOR`` is set.

    See no-color.org. Whatever is not the word of a state stays as it is.
    """
    plain = environment.get("NO_COLOR") or environment.get("TERM") == "dumb"
    return str if plain or not stream.isatty() else _painted


def _painted(text: str) -> str:
    word = text.strip()
    code = _COLOURS.get(word)
    if code is None and re.fullmatch(r"[1-5][0-9][0-9]", word):
        code = _STATUS.get(word[0])
    return text if code is None else f"\x1b[{code}m{text}\x1b[0m"


def shown(cell: object) -> str:
    """``cell`` as text that a terminal can show: "-" for None, "?" for a control character."""
    text = "-" if cell is None else str(cell)
    return "".join(each if each.isprintable() else "?" for each in text)


def in_words(facts: Mapping[str, Any]) -> str:
    """What stands in a "before" or "after", without what is not set; pure."""
    words = [
        name if value is True else f"{name} {shown(value)}"
        for name, value in facts.items()
        if value not in (None, False)
    ]
    return ", ".join(words) or "as announced"


def table(rows: Sequence[Sequence[object]], paint: Paint = str) -> Lines:
    """``rows``, the first of which are the titles, as lines of aligned columns; pure.

    Numbers stand to the right, words get their colour from ``paint``. Control characters are shown
    as "?".
    """
    texts = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    right = [
        all(isinstance(row[at], (int, float)) for row in rows[1:]) for at in range(len(widths))
    ]
    for index, row in enumerate(texts):
        cells = [
            text.rjust(width) if number else text.ljust(width)
            for text, width, number in zip(row, widths, right, strict=True)
        ]
        cells[-1] = cells[-1].rstrip()
        yield "  ".join(map(paint, cells) if index else cells).rstrip()


_UNPRINTABLE: Final = re.compile(r"[^\n -~]")
"""Candidates: all but ASCII that is printable, and the ends of lines."""


def document(value: Any, output: str, *, indent: int | None = 2) -> str:
    """A JSON value as ``json``, in one line where ``indent`` is None, or as ``yaml``; pure."""
    if output == "json":
        text = json.dumps(value, indent=indent, ensure_ascii=False)
        return _UNPRINTABLE.sub(lambda found: _escape(found[0], json.dumps(found[0])[1:-1]), text)
    return "\n".join(_yaml(value, ""))


def _yaml(value: Any, indent: str) -> Lines:
    """``value`` as lines of YAML 1.2 in block style; its scalars are JSON's, which YAML reads."""
    if isinstance(value, Mapping) and value:
        for key, each in value.items():  # pyright: ignore[reportUnknownVariableType]  # JSON
            yield from _entry(f"{indent}{_scalar(key)}:", each, indent + "  ")
    elif isinstance(value, (list, tuple)) and value:
        for each in cast("Sequence[Any]", value):
            first, *rest = _yaml(each, indent + "  ")
            yield f"{indent}- {first.removeprefix(indent + '  ')}"
            yield from rest
    else:
        yield indent + _scalar(value)


def _entry(head: str, value: Any, indent: str) -> Lines:
    if isinstance(value, (Mapping, list, tuple)) and value:
        yield head
        yield from _yaml(value, indent)
    else:
        yield f"{head} {_scalar(value)}"


def _scalar(value: Any) -> str:
    """A JSON scalar, or an empty collection; text that needs no quotes stands without them."""
    words = ("true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "infinity")
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z_][\w/.-]*", value, re.ASCII):
        return json.dumps(value) if value.lower() in words else value
    text = json.dumps(value, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: _escape(found[0], f"\\U{ord(found[0]):08x}"), text)


def _escape(character: str, escaped: str) -> str:
    """SECURITY: JSON leaves U+007F to U+009F as they are, which control a terminal."""
    return character if character.isprintable() else escaped


class Screen:
    """Shows something again and again: over itself on a terminal, one after the other elsewhere."""

    def __init__(self, stream: TextIO) -> None:
        self._stream: Final = stream
        self._terminal: Final = stream.isatty()

    def show(self, lines: Iterable[str]) -> None:
        """Replace what was shown before by ``lines``."""
        if self._terminal:
            # Home, each line cleared to its end, and what is below: no flicker of an empty screen.
            text = "\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J"
        else:
            text = "".join(f"{line}\n" for line in lines) + "\n"
        self._stream.write(text)
        self._stream.flush()

    def clear(self) -> None:
        """Begin on an empty screen."""
        if self._terminal:
            self._stream.write("\x1b[2J")


def progress(text: str) -> None:
    """Show how far something is, on the same line of stderr each time; nothing where it is piped.

    An empty ``text`` takes the line away.
    """
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

"""Files of entries as keys and values: what each holds, who wins, what a reader hears. Pure.

A file holds one entry as an object, or several as an array of them; its keys follow from what the
entries say. A file is taken as a whole or not at all: one that does not parse, or holds anything
that names no key, is in trouble, and what it last held stays until it parses again or is gone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from discovery.codec import key_for, kind_of
from discovery.rules import shown
from discovery.source import Deleted, Put, Trouble

__all__ = ["Content", "File", "Mark", "merged", "parsed", "steps"]

Mark = tuple[int, int, int]
"""Inode, size and modification time (ns) of a file: it is read again only when they differ."""


@dataclass(frozen=True, slots=True)
class File:
    """One file: what it last held that could be read, and what is wrong with it now."""

    mark: Mark
    entries: tuple[tuple[bytes, bytes], ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What all files say together: keys and values, and who is in trouble for which reason."""

    entries: Mapping[bytes, bytes]
    troubles: Mapping[bytes, str]


NOTHING: Final = Content({}, {})


class _Name(msgspec.Struct):
    """As much of an entry as names its key."""

    name: str
    model_type: str
    instance: str | None = None


_ANY: Final = msgspec.json.Decoder(msgspec.Raw)
_MANY: Final = msgspec.json.Decoder(list[msgspec.Raw])
_NAMED: Final = msgspec.json.Decoder(_Name)


def parsed(raw: bytes, mark: Mark, before: File | None) -> File:
    """What a file with these bytes holds; never raises. ``before`` is what it was."""
    try:
        return File(mark, tuple(_entry(item, number) for number, item in _items(raw)))
    except ValueError as error:  # msgspec's errors and UnicodeDecodeError are ValueErrors
        reason = str(error)
    except RecursionError:
        reason = "it is nested too deep"
    return replace(before or File(mark), mark=mark, problem=reason)


def merged(files: Mapping[str, File]) -> Content:
    """What the files say together: of two that claim one key, the first by name has it."""
    entries: dict[bytes, bytes] = {}
    owners: dict[bytes, str] = {}
    troubles: dict[bytes, str] = {}
    for name, file in sorted(files.items()):
        where = b"file:" + os.fsencode(name)
        if file.problem is not None:
            troubles[where] = file.problem
        for key, value in file.entries:
            owner = owners.setdefault(key, name)
            if owner == name and key not in entries:
                entries[key] = value
            else:
                claim, first = (_text(each) for each in (key, os.fsencode(owner)))
                troubles.setdefault(where, f"{claim} is announced by {first} already")
    return Content(entries, troubles)


def steps(old: Content, new: Content) -> Iterator[Put | Deleted | Trouble]:
    """The events that lead from one content to the other, deletions first."""
    for key in old.entries:
        if key not in new.entries:
            yield Deleted(key)
    for key, value in new.entries.items():
        if old.entries.get(key) != value:
            yield Put(key, value)
    for where in old.troubles:
        if where not in new.troubles:
            yield Trouble(where, None)
    for where, reason in new.troubles.items():
        if old.troubles.get(where) != reason:
            yield Trouble(where, reason)


def _text(data: bytes) -> str:
    """Any bytes as a text that can be shown, and written as JSON."""
    return shown(data.decode(errors="backslashreplace"))


def _items(raw: bytes) -> list[tuple[int, msgspec.Raw]]:
    try:
        raw.decode()  # msgspec does not look into what it passes on unread
        whole = bytes(_ANY.decode(raw))
        items = _MANY.decode(whole) if whole.startswith(b"[") else [msgspec.Raw(whole)]
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 (byte {error.start})") from None
    except msgspec.DecodeError as error:
        raise ValueError(f"it is not JSON, or not all of it is there: {error}") from None
    return [*enumerate(items)]


def _entry(item: msgspec.Raw, number: int) -> tuple[bytes, bytes]:
    try:
        named = _NAMED.decode(item)
    except msgspec.ValidationError as error:
        raise ValueError(f"its entry {number} names no model: {error}") from None
    except msgspec.DecodeError as error:
        raise ValueError(f"its entry {number} is not JSON: {error}") from None
    # An unknown type still makes a key: the reader of entries refuses it, and says so.
    kind = kind_of(named.model_type) or named.model_type
    return key_for(kind, named.name, named.instance or ""), bytes(item)

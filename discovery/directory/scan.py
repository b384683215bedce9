"""One look through a folder: which files of entries there are, and what each of them holds now.

A look sees one folder, whatever happens to its path meanwhile: files of a folder that is moved away
under the look are not taken for deleted.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from discovery.codec import event_of, key_for, kind_of, label_of
from discovery.rules import shown
from discovery.source import Put, Removed, Unusable

__all__ = [
    "Announced",
    "Content",
    "DirectoryUnavailable",
    "File",
    "Mark",
    "merged",
    "parsed",
    "scan",
    "steps",
]

MAX_FILE: Final = 64 * 1024 * 1024
"""Bytes of one file that are read: 100,000 entries; more is something else."""
FRESH: Final = 100_000_000
"""Nanoseconds for which a file's time of change proves nothing; the kernel's tick is 4 ms."""


class DirectoryUnavailable(Exception):
    """The folder itself can't be read now; the text says why, for the log."""


def scan(directory: Path, before: dict[str, File]) -> dict[str, File]:
    """Every file of the folder that counts; one that looks as ``before`` is not read again.

    A file that can't be read keeps what it held ``before``, and says why. Raises
    :class:`DirectoryUnavailable`.
    """
    try:
        # NOTE: what follows goes by this folder and not by its path, which may lead elsewhere or
        # nowhere, a moment later: files of a folder that is moved away are not deleted.
        folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise DirectoryUnavailable(f"{directory}: {error.strerror}") from None
    try:
        with os.scandir(folder) as listed:
            names = [each.name for each in listed if _counts(each.name)]
        read = ((name, _read(name, folder, before.get(name))) for name in names)
        return {name: file for name, file in read if file is not None}
    except OSError as error:
        raise DirectoryUnavailable(f"{directory}: {error.strerror}") from None
    finally:
        os.close(folder)


def _counts(name: str) -> bool:
    return name.endswith(".json") and not name.startswith(".")


def _read(name: str, folder: int, before: File | None) -> File | None:
    """The file as it is now; None if it is gone or no file. It may be half-written: see parsed."""
    try:
        mark = _mark(os.stat(name, dir_fd=folder))
        if mark is None:
            return None
        if before is not None and before.mark == mark and mark[2]:
            return before
        # NOTE: not blocking: between the look and the opening a pipe may have taken its place.
        with open(_without_blocking(name, folder), "rb") as opened:
            # One byte more than it has: it may be growing; the next look reads it again then.
            raw = opened.read(min(mark[1], MAX_FILE) + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        kept = before or File((0, 0, 0))
        return File((0, 0, 0), kept.entries, f"it can't be read: {error.strerror}")
    if len(raw) > MAX_FILE:
        return File(mark, before.entries if before else (), f"it has more than {MAX_FILE} bytes")
    return parsed(raw, mark, before)


def _mark(found: os.stat_result) -> Mark | None:
    if not stat.S_ISREG(found.st_mode):
        return None
    # A file written a moment ago may be written again in the same tick of the kernel's clock, which
    # would show in no mark: such a one is read again at the next look.
    fresh = abs(time.time_ns() - found.st_mtime_ns) < FRESH
    return found.st_ino, found.st_size, 0 if fresh else found.st_mtime_ns


def _without_blocking(name: str, folder: int) -> int:
    return os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK, dir_fd=folder)


Mark = tuple[int, int, int]
"""Inode, size and modification time (ns) of a file: it is read again only when they differ."""


@dataclass(frozen=True, slots=True)
class Announced:
    """One entry of a file: its text, and what to deliver for it."""

    raw: bytes
    event: Put | Unusable


@dataclass(frozen=True, slots=True)
class File:
    """One file: what it last held that could be read, and what is wrong with it now."""

    mark: Mark
    entries: tuple[Announced, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """What all files say together, by id: what they announce, and which can't be read, and why."""

    entries: Mapping[str, Announced]
    problems: Mapping[str, str]


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
    """What a file with these bytes holds; never raises. ``before`` is what it was.

    PERF: an entry whose text is unchanged is not decoded again.
    """
    known = {} if before is None else {entry.raw: entry for entry in before.entries}
    try:
        return File(mark, tuple(_entry(item, number, known) for number, item in _items(raw)))
    except ValueError as error:  # msgspec's errors and UnicodeDecodeError are ValueErrors
        reason = str(error)
    except RecursionError:
        reason = "it is nested too deep"
    return replace(before or File(mark), mark=mark, problem=reason)


def merged(files: Mapping[str, File]) -> Content:
    """What the files say together: of two that claim one id, the first by name has it."""
    entries: dict[str, Announced] = {}
    owners: dict[str, str] = {}
    problems: dict[str, str] = {}
    for name, file in sorted(files.items()):
        where = label_of(b"file:" + os.fsencode(name))
        if file.problem is not None:
            problems[where] = file.problem
        for announced in file.entries:
            id_ = announced.event.id
            owner = owners.setdefault(id_, name)
            if owner == name and id_ not in entries:
                entries[id_] = announced
            else:
                first = _text(os.fsencode(owner))
                problems.setdefault(where, f"{shown(id_)} is announced by {first} already")
    return Content(entries, problems)


def steps(old: Content, new: Content) -> Iterator[Put | Removed | Unusable]:
    """The events that lead from one content to the other, removals first."""
    for id_ in old.entries:
        if id_ not in new.entries:
            yield Removed(id_)
    for id_, announced in new.entries.items():
        before = old.entries.get(id_)
        if before is None or before.raw != announced.raw:
            yield announced.event
    for where in old.problems:
        if where not in new.problems:
            yield Unusable(where, None)
    for where, reason in new.problems.items():
        if old.problems.get(where) != reason:
            yield Unusable(where, reason)


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


def _entry(item: msgspec.Raw, number: int, known: Mapping[bytes, Announced]) -> Announced:
    raw = bytes(item)
    if raw in known:
        return known[raw]
    try:
        named = _NAMED.decode(item)
    except msgspec.ValidationError as error:
        raise ValueError(f"its entry {number} names no model: {error}") from None
    except msgspec.DecodeError as error:
        raise ValueError(f"its entry {number} is not JSON: {error}") from None
    # An unknown type makes an id too: the entry is refused under it, with the reason.
    kind = kind_of(named.model_type) or named.model_type
    return Announced(raw, event_of(key_for(kind, named.name, named.instance or ""), raw))

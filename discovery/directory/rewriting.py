"""Changes one announcement in a folder of JSON files, if its file is still what was read."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Final

import msgspec

from actors.engines.contract import Kind
from discovery.codec import kind_of
from discovery.rewriting import (
    AnnouncementMoved,
    Fields,
    NotAnnounced,
    NotWritten,
    with_fields,
)

__all__ = ["DirectoryRewriter", "rewritten"]


class DirectoryRewriter:
    """Writes the files of one folder, each as a whole; a ``Rewriter``."""

    def __init__(self, directory: str | Path) -> None:
        self._directory: Final = Path(directory)

    def rewrite(self, kind: Kind, model: str, instance: str, fields: Fields) -> Fields:
        """See :class:`~discovery.rewriting.Rewriter`."""
        try:
            for path in sorted(self._directory.glob("*.json")):
                if path.name.startswith(".") or not path.is_file():
                    continue
                content = path.read_bytes()
                found = rewritten(content, kind, model, instance, fields)
                if found is not None:
                    new, before = found
                    _replace(path.resolve(), content, new)
                    return before
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise NotWritten(f"the folder of announcements can't be written: {reason}") from error
        raise NotAnnounced("no file of the folder holds such an announcement any more")


def _replace(path: Path, content: bytes, new: bytes) -> None:
    """Put ``new`` in the place of ``content``; readers see one or the other."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        part.write_bytes(new)
        part.chmod(path.stat().st_mode & 0o777)
        if path.read_bytes() != content:
            raise AnnouncementMoved("the file of the announcement has changed just before")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def rewritten(
    content: bytes, kind: Kind, model: str, instance: str, fields: Fields
) -> tuple[bytes, Fields] | None:
    """The file's ``content`` with ``fields`` in the one entry that is meant; pure.

    Also what they were; ``None`` if it has no such entry, or can't be read.
    """
    try:
        several = content.lstrip().startswith(b"[")
        items = _MANY.decode(content) if several else [msgspec.Raw(content)]
        for number, item in enumerate(items):
            if _names(item) == (kind, model, instance):
                value, before = with_fields(bytes(item), fields)
                if not several:
                    return value, before
                items[number] = msgspec.Raw(value)
                return msgspec.json.encode(items), before
    except (msgspec.DecodeError, ValueError):
        return None
    return None


_MANY: Final = msgspec.json.Decoder(list[msgspec.Raw])


class _Named(msgspec.Struct):
    name: str
    model_type: str
    instance: str | None = None


def _names(item: msgspec.Raw) -> tuple[Kind | None, str, str]:
    named = msgspec.json.decode(item, type=_Named)
    return kind_of(named.model_type), named.name, named.instance or ""

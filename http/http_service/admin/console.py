"""The console's files, as they are in the package: served to anyone who reaches the listener.

They hold nothing of the service: what the console shows it reads from the admin API, with a key.
"""

from __future__ import annotations

import gzip
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Final

import falcon

from http_service.api.app import WsgiApp

__all__ = ["FOLDER", "ConsoleFile", "add_console", "console_files", "content_security_policy"]

FOLDER: Final = Path(__file__).parents[1] / "console"

PREFIX: Final = "/console"

INDEX: Final = "index.html"

MEDIA_TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""What is served; a file of another kind in the folder is for people who read the package."""

REVALIDATED: Final = "no-cache"
"""Asked for again each time, and then seldom sent: the entity tag is its content."""

IMMUTABLE: Final = "public, max-age=31536000, immutable"
"""For files whose name holds their version."""

_IMPORT_MAP: Final = re.compile(rb'<script type="importmap">(.*?)</script>', re.DOTALL)


class ConsoleFile:
    """One file as a Falcon resource; read when it is first asked for, and kept. Any thread.

    SECURITY: every response bears the policy of :func:`content_security_policy`, and none may be
    framed, sniffed or reached by a window that opened it.
    """

    def __init__(self, path: Path, policy: str) -> None:
        self._path: Final = path
        self._policy: Final = policy
        self._media_type: Final = MEDIA_TYPES[path.suffix]
        self._caching: Final = IMMUTABLE if path.parent.name == "vendor" else REVALIDATED

    @cached_property
    def _content(self) -> tuple[bytes, bytes, str]:
        """The file, the same compressed, and the digest of it."""
        content = self._path.read_bytes()
        return content, gzip.compress(content, mtime=0), sha256(content).hexdigest()[:32]

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The file, compressed where the client takes that; 304 where it has it already."""
        content, compressed, digest = self._content
        packed = "gzip" in (req.get_header("accept-encoding") or "")
        tag = f'"{digest}-gzip"' if packed else f'"{digest}"'
        for name, value in self._headers(tag):
            resp.set_header(name, value)
        if tag in (req.get_header("if-none-match") or ""):
            resp.status = falcon.HTTP_NOT_MODIFIED
            return
        if packed:
            resp.set_header("content-encoding", "gzip")
        resp.content_type = self._media_type
        resp.data = compressed if packed else content

    on_head = on_get

    def _headers(self, tag: str) -> Iterable[tuple[str, str]]:
        return (
            ("etag", tag),
            ("vary", "accept-encoding"),
            ("cache-control", self._caching),
            ("content-security-policy", self._policy),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("referrer-policy", "no-referrer"),
        )


def console_files(folder: Path = FOLDER) -> dict[str, ConsoleFile]:
    """Each file of ``folder`` that is served, by its path; ``/`` is its ``index.html``."""
    policy = content_security_policy((folder / INDEX).read_bytes())
    files = {
        f"{PREFIX}/{path.relative_to(folder).as_posix()}": ConsoleFile(path, policy)
        for path in _served(folder)
    }
    index = files.pop(f"{PREFIX}/{INDEX}")
    return {"/": index, PREFIX: index, **files}


def content_security_policy(index: bytes) -> str:
    """The policy for the page ``index``: what is ours and its import map, and no markup from text.

    Raises ``ValueError`` if it has no import map. Source: CSP Level 3, Trusted Types.
    """
    found = _IMPORT_MAP.search(index)
    if found is None:
        raise ValueError("the console's index.html has no import map")
    digest = b64encode(sha256(found[1]).digest()).decode()
    return "; ".join((
        "default-src 'none'",
        f"script-src 'self' 'sha256-{digest}'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ))  # fmt: skip


def add_console(app: WsgiApp, files: Mapping[str, ConsoleFile]) -> None:
    """Serve ``files`` with ``app``, each at its path; every other path is still 404."""
    for path, resource in files.items():
        app.add_route(path, resource)


def _served(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.suffix in MEDIA_TYPES)

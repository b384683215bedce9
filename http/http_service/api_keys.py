"""Who may use the service: the keys of a file, and the check of a request's ``Authorization``.

SECURITY: a key never stays in memory as text, is never logged and never part of an error. What is
kept and looked up are digests under a secret of this process: how long that takes depends on bits
that a stranger can neither know nor choose, and the last comparison takes constant time.
"""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from typing import Final, TypeAlias

import falcon

from http_service.config import ConfigError

__all__ = ["OPEN_PATHS", "ApiKeys", "InvalidApiKey", "KeyCheck", "digests_of"]

_log: Final = logging.getLogger("http_service.api_keys")

LOOK_INTERVAL: Final = 1.0
"""Seconds between two looks at the file: a new key works, an old one fails, within a second."""

_SECRET: Final = secrets.token_bytes(32)
_NOBODY: Final = bytes(32)

MIN_KEY: Final = 8
"""Characters of the shortest key: a shorter line is a slip, not a secret."""

OPEN_PATHS: Final = frozenset(("/live", "/ready", "/health", "/metrics"))
"""What answers without a key while ``open_probes`` is set: kubelets and scrapers send none."""

SCHEME: Final = "bearer "

Digests: TypeAlias = dict[bytes, bytes]
Stamp: TypeAlias = tuple[int, int, int, int]


class InvalidApiKey(Exception):
    """The request bears no key, or one that is not (or no longer) in the file."""

    def __init__(self, *, given: bool) -> None:
        super().__init__("the API key is unknown" if given else "there is no API key")
        self.given: Final = given


class ApiKeys:
    """The keys of the file at ``path``, one a line; blank lines and ``#`` comments don't count.

    The file is read again when it changed, at most once a second, by whichever request comes then.
    If it has vanished or is malformed, the last good keys stay in force and one line is logged, so
    that a half-written file locks nobody out. Thread-safe; ``clock`` is injected by tests.

    Raises :class:`~http_service.config.ConfigError` if there are no good keys to begin with: a
    service that should be locked must never start open.
    """

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = Path(path)
        self._clock = clock
        self._next_look = clock() + LOOK_INTERVAL
        self._stamp = _stamp_of(self._path)
        try:
            self._digests = digests_of(self._path.read_bytes())
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"api_key_file is {path!r}, which {_what_is_wrong(error)}: "
                "write one key a line into it, readable for this user"
            ) from None

    def allow(self, authorization: str | None) -> bool:
        """Whether the value of an ``Authorization`` header bears one of the keys."""
        if self._clock() >= self._next_look:
            self._look()
        if authorization is None or authorization[: len(SCHEME)].lower() != SCHEME:
            return False
        given = _digest(authorization[len(SCHEME) :].strip().encode("utf-8"))
        return compare_digest(self._digests.get(given, _NOBODY), given)

    def _look(self) -> None:
        """Read the file again if it changed. Two threads may both do so; both read the same."""
        self._next_look = self._clock() + LOOK_INTERVAL
        stamp = _stamp_of(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._digests = digests_of(_read_at_once(self._path))
        except (OSError, ValueError) as error:
            _log.error(
                "the API key file %s; the keys read before stay in force",
                _what_is_wrong(error),
                extra={"file": str(self._path), "keys": len(self._digests)},
            )
        else:
            _log.info("read the API keys again", extra={"keys": len(self._digests)})


class KeyCheck:
    """Falcon middleware: answers 401 to a request without a good key, whatever it asks for.

    It runs before the route is looked for and before anything of the body is read, so that a
    stranger learns nothing from the answer. With ``open_probes``, probes and metrics need no key.
    """

    def __init__(self, keys: ApiKeys, *, open_probes: bool) -> None:
        self._keys = keys
        self._open = OPEN_PATHS if open_probes else frozenset[str]()

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raises :class:`InvalidApiKey`."""
        del resp
        authorization = req.env.get("HTTP_AUTHORIZATION")
        if not self._keys.allow(authorization) and req.path not in self._open:
            raise InvalidApiKey(given=authorization is not None)


def digests_of(text: bytes) -> Digests:
    """The digest of each key in a key file's ``text``, by itself; pure within one process.

    Raises ``ValueError`` with what is wrong, and on which line, but not with the line itself.
    """
    found: Digests = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith(b"#"):
            continue
        if not all(0x21 <= byte <= 0x7E for byte in line):
            raise ValueError(f"has a blank or an unprintable character in line {number}")
        if len(line) < MIN_KEY:
            raise ValueError(f"has a key of fewer than {MIN_KEY} characters in line {number}")
        digest = _digest(line)
        found[digest] = digest
    if not found:
        raise ValueError("holds no key")
    return found


def _digest(key: bytes) -> bytes:
    return sha256(_SECRET + key).digest()


def _stamp_of(path: Path) -> Stamp | None:
    """What changes when the file does, its permissions included; ``None`` if it is not there."""
    try:
        it = path.stat()
    except OSError:
        return None
    return it.st_mtime_ns, it.st_ctime_ns, it.st_ino, it.st_size


def _read_at_once(path: Path) -> bytes:
    """What ``path`` holds now: requests wait for this, and a pipe may never have anything to say.

    Raises ``OSError``.
    """
    with open(path, "rb", buffering=0, opener=_without_waiting) as file:
        return file.read() or b""


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)


def _what_is_wrong(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"can't be read ({error.strerror or type(error).__name__})"
    return str(error)

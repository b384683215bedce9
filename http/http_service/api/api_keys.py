"""Who may use the service: the keys of a file, and the check of a request's ``Authorization``.

SECURITY: a key never stays in memory as text, is never logged and never part of an error. What is
kept and looked up are digests under a secret of this process: how long that takes depends on bits
that a stranger can neither know nor choose, and the last comparison takes constant time.
"""

from __future__ import annotations

import logging
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from ipaddress import ip_address
from typing import Any, Final, NamedTuple, TypeAlias

import falcon

from actors.files import Stamp, read_if_changed
from http_service.config import ConfigError
from http_service.errors import InvalidApiKey, MalformedRequest
from http_service.inline import RetrySoon, may_block

__all__ = [
    "OPEN_PATHS",
    "RELAYED",
    "ApiKeys",
    "Holder",
    "KeyCheck",
    "KeyFileBeingRead",
    "Operators",
    "Role",
    "authorization_of",
    "digests_of",
    "owner_of",
]

_log: Final = logging.getLogger("http_service.api_keys")

KEY_CHECK_SECONDS: Final = 1.0
"""Seconds between two checks of the file: a new key works, an old one fails, within a second."""

KEY_CHECK_TIMEOUT: Final = 0.25
"""Seconds that a request waits for a check; a slower file delays no request further."""

_SECRET: Final = secrets.token_bytes(32)

OPERATORS: Final = "operator_key_file"
"""The setting that names the file of operators' keys."""

MIN_KEY: Final = 8
"""Characters of the shortest key: a shorter line is a mistake, not a secret."""

OPEN_PATHS: Final = frozenset(("/live", "/ready", "/health", "/metrics"))
"""What needs no key while ``open_probes`` is set: kubelets and scrapers send none."""

SCHEME: Final = "bearer "


class Role(StrEnum):
    """What the holder of a key may do with the service itself, by the admin API."""

    VIEWER = "viewer"
    """Look at it."""
    OPERATOR = "operator"
    """Change it, too."""


class Holder(NamedTuple):
    """Who holds a key: its digest, what its holder is called in messages, and its role."""

    digest: bytes
    name: str
    role: Role


_NOBODY: Final = Holder(bytes(32), "", Role.VIEWER)

Digests: TypeAlias = dict[bytes, Holder]


class KeyFileBeingRead(RetrySoon):
    """The file of keys is being read, which takes milliseconds."""


class ApiKeys:
    """The keys of the file at ``path``, one a line; blank lines and ``#`` comments don't count.

    The file is checked once a second, by whichever request comes then, and read again when it
    changed. While it is missing, can't be read, or holds no good keys, the last good keys stay in
    force, so that a half-written file locks no client out; :attr:`stale_since` and :attr:`problem`
    show it, a line is logged when it begins and when it ends, and each check tries again.
    Thread-safe; ``setting`` is the file's name in messages, ``extra_keys`` are accepted, too;
    ``clock`` is injected by tests. Where ``setting`` is :data:`OPERATORS`, a line may be
    ``viewer NAME KEY`` or ``operator NAME KEY``; the holders of others' keys are viewers at most.

    Raises :class:`~http_service.config.ConfigError` if there are no good keys to begin with: a
    service that should be locked must never start open.
    """

    def __init__(
        self,
        path: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        setting: str = "api_key_file",
        extra_keys: ApiKeys | None = None,
    ) -> None:
        self._path: Final = path
        self._roles: Final = setting == OPERATORS
        self._extra_keys: Final = extra_keys
        self.setting: Final = setting
        self._clock: Final = clock
        self._checking: Final = threading.Lock()
        self._stamp: Stamp | None = None
        self._digests: Digests = {}
        self._next_check = clock() + KEY_CHECK_SECONDS
        self._check_running = False
        """A check is running, or about to begin."""
        self._check_started = 0.0
        self.problem: str | None = None
        """What is wrong with the file now, safe to show; ``None`` while its keys are in force."""
        self.stale_since: float | None = None
        """Unix time in seconds since when something is; ``None`` while nothing is."""
        try:
            self._read()
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{setting} is {path!r}, which {_problem_of(error)}: "
                "write one key a line into it, readable for this user"
            ) from None

    def __len__(self) -> int:
        """How many keys are in force."""
        return len(self._digests)

    def allow(self, authorization: str | None) -> bool:
        """Whether the value of an ``Authorization`` header has one of the keys.

        Checks the file if that is due. Where the caller may not wait, a thread of its own does,
        and ``KeyFileBeingRead`` is raised until it is done, or for :data:`KEY_CHECK_TIMEOUT`: from
        then on requests go by the keys read before.
        """
        if self._clock() >= self._next_check or self._check_running:
            self._check_or_defer()
        if self._has_own_key(authorization):
            return True
        return self._extra_keys is not None and self._extra_keys.allow(authorization)

    def has_key(self, authorization: str | None) -> bool:
        """As :meth:`allow`, by the keys that were read last; never waits."""
        extra = self._extra_keys
        return self._has_own_key(authorization) or (
            extra is not None and extra.has_key(authorization)
        )

    def holder(self, authorization: str | None) -> Holder | None:
        """Whose key the value of an ``Authorization`` header has; by the keys read last."""
        if authorization is None or authorization[: len(SCHEME)].lower() != SCHEME:
            return None
        given = _digest_of(authorization)
        holder = self._digests.get(given, _NOBODY)
        return holder if compare_digest(holder.digest, given) else None

    def _has_own_key(self, authorization: str | None) -> bool:
        return self.holder(authorization) is not None

    def is_checking(self) -> bool:
        """Whether a check of the file is running, or due, which starts it; never waits.

        What :meth:`has_key` returns may be outdated then. The check runs on a thread of its own and
        takes milliseconds.
        """
        if self._clock() >= self._next_check:
            self._next_check = self._clock() + KEY_CHECK_SECONDS
            self._start_check()
            return True
        return self._check_running or (
            self._extra_keys is not None and self._extra_keys.is_checking()
        )

    def _start_check(self) -> None:
        """Check on a thread of its own, unless one does: the workers may be busy for long."""
        if self._check_running:
            return
        self._check_running = True
        self._check_started = self._clock()
        try:
            threading.Thread(target=self._check_file, name="api-keys", daemon=True).start()
        except RuntimeError:  # the system has no thread left: the next check is a second away
            self._check_running = False

    def _check_or_defer(self) -> None:
        if may_block():
            self._check_file()
            return
        now = self._clock()
        if now >= self._next_check:
            self._start_check()
            self._next_check = now + KEY_CHECK_SECONDS
        if self._check_running and now - self._check_started < KEY_CHECK_TIMEOUT:
            raise KeyFileBeingRead(2 * KEY_CHECK_TIMEOUT, TimeoutError("the key file"))

    def reload(self) -> None:
        """Read the file now, changed or not."""
        self._stamp = None
        self._check_file()

    def _check_file(self) -> None:
        """Read the file again if it changed; one thread at a time, and no other waits for it."""
        if not self._checking.acquire(blocking=False):
            return
        try:
            self._next_check = self._clock() + KEY_CHECK_SECONDS
            try:
                self._read()
            except (OSError, ValueError) as error:
                self._stamp = None  # whatever it was, the next check reads it again
                self._report_problem(_problem_of(error))
            else:
                self._report_problem(None)
        finally:
            self._check_running = False
            self._checking.release()

    def _read(self) -> None:
        """Take the keys of a changed file. Raises ``OSError`` and ``ValueError``."""
        read = read_if_changed(self._path, self._stamp)
        if read is None:
            return
        text, stamp = read
        digests = digests_of(text, roles=self._roles)
        # The keys first, and the stamp only with them: a stamp says that its keys are in force.
        before, self._digests, self._stamp = self._digests, digests, stamp
        if before and _roles(before) != _roles(digests):
            _log.info("read the API keys again", extra={"keys": len(digests)})

    def _report_problem(self, problem: str | None) -> None:
        """Log and show what is wrong with the file where that is another than before."""
        before, self.problem = self.problem, problem
        if problem == before:
            return
        known = {"file": self._path, "keys": len(self._digests)}
        if problem is None:
            self.stale_since = None
            _log.info("the %s is in force again", self._description(), extra=known)
            return
        if self.stale_since is None:
            self.stale_since = time.time()
        complaint = "the %s %s; the keys read before stay in force"
        _log.error(complaint, self._description(), problem, extra=known)

    def _description(self) -> str:
        return self.setting.replace("api", "API").replace("_", " ")


class KeyCheck:
    """Falcon middleware: responds with 401 to a request without a valid key, whatever it asks for.

    It runs before the route is looked for and before anything of the body is read, so that a
    stranger learns nothing from the response. What is at ``open_paths`` needs no key.
    """

    def __init__(self, keys: ApiKeys, open_paths: frozenset[str]) -> None:
        self._keys = keys
        self._open = open_paths

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Raises :class:`InvalidApiKey`."""
        del resp
        authorization = authorization_of(req.env)
        if not self._keys.allow(authorization) and req.path not in self._open:
            raise InvalidApiKey(given=authorization is not None)


def authorization_of(environ: Mapping[str, Any]) -> str | None:
    """What a request shows for itself: ``Authorization``, or ``x-api-key`` as Anthropic's clients.

    Raises :class:`MalformedRequest` if both are there and differ: whatever reads the request next
    might take the other one.
    """
    authorization: str | None = environ.get("HTTP_AUTHORIZATION")
    key: str | None = environ.get("HTTP_X_API_KEY")
    if key is None:
        return authorization
    if authorization is not None:
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() != "bearer" or given.strip() != key.strip():
            raise MalformedRequest("Authorization and x-api-key differ: send one of them")
    return f"Bearer {key}"


def owner_of(environ: Mapping[str, Any]) -> bytes:
    """What distinguishes the clients of this process: the digest of the key that one shows.

    Raises as :func:`authorization_of`.
    """
    return _digest_of(authorization_of(environ) or SCHEME)


def digests_of(text: bytes, *, roles: bool = False) -> Digests:
    """The holder of each key in a key file's ``text``, by its digest; pure within one process.

    Raises ``ValueError`` with what is wrong, and on which line, but not with the line itself.
    """
    plain = Role.OPERATOR if roles else Role.VIEWER
    found: Digests = {}
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith(b"#"):
            continue
        name, role = f"the key in line {number}", plain
        if roles and (named := _NAMED(line)) is not None:
            role, name, line = Role(named[1].decode()), named[2].decode(), named[3]
        if not all(0x21 <= byte <= 0x7E for byte in line):
            raise ValueError(f"has a blank or an unprintable character in line {number}")
        if len(line) < MIN_KEY:
            raise ValueError(f"has a key of fewer than {MIN_KEY} characters in line {number}")
        digest = _digest(line)
        found[digest] = Holder(digest, name, role)
    if not found:
        raise ValueError("holds no key")
    return found


_NAMED: Final = re.compile(rb"(viewer|operator)\s+([!-~]{1,64})\s+(\S+)").fullmatch
"""A line that says whose key it is, and what that one may do."""


def _roles(digests: Digests) -> dict[bytes, Role]:
    """What each key lets its holder do; where it stands in the file does not matter."""
    return {digest: holder.role for digest, holder in digests.items()}


def _digest_of(authorization: str) -> bytes:
    return _digest(authorization[len(SCHEME) :].strip().encode("utf-8"))


def _digest(key: bytes) -> bytes:
    return sha256(_SECRET + key).digest()


def _problem_of(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"can't be read ({error.strerror or type(error).__name__})"
    return str(error)


RELAYED: Final = "callboard.relayed"
"""Set in WSGI's environment by our server where a proxy relays the request of another client."""

_PROXY_HEADERS: Final = (
    RELAYED,
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_REAL_IP",
)


class Operators:
    """Distinguishes operators from clients: by the keys of ``operators``, if there are keys at all.

    A service without keys can't know its clients: there, operators are those that ask from the same
    machine, and not through a proxy. Thread-safe.
    """

    def __init__(self, clients: ApiKeys | None = None, operators: ApiKeys | None = None) -> None:
        self._keys = operators
        self._locked = clients is not None or operators is not None

    def include(self, environ: Mapping[str, Any]) -> bool:
        """Whether the request of this WSGI environment is an operator's."""
        if self._locked:
            return self.has_key(authorization_of(environ))
        if any(name in environ for name in _PROXY_HEADERS):
            return False
        try:
            # Without an address the request did not come by network: this process made it.
            address = ip_address(str(environ.get("REMOTE_ADDR", "::1")).partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return bool((mapped or address).is_loopback)

    def has_key(self, authorization: str | None) -> bool:
        """Whether the value of an ``Authorization`` header has an operator's key."""
        return self._keys is not None and self._keys.allow(authorization)

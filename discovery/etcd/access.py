"""What etcd wants to see before it answers: a user, a certificate, an authority.

Certificate files are read for each connection, so a rotated certificate is used from the next one
on. A password never comes from an argument list and is in no ``repr``.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from actors.supervision.spec import doubling
from discovery.etcd.records import EtcdRefused

__all__ = [
    "DEFAULT_PORT",
    "NO_AUTH",
    "Certificates",
    "Endpoint",
    "Endpoints",
    "EtcdAccess",
    "FullJitter",
    "read_password",
]

MAX_PASSWORD: Final = 4096
"""Bytes of a password file; more is the wrong file."""


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM bytes as gRPC takes them; None for "not given"."""

    ca: bytes | None = None
    cert: bytes | None = None
    key: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class EtcdAccess:
    """How to be let in. Raises ``ValueError`` for half a pair, in words for an operator.

    ``ca`` is a PEM file with the authorities to trust instead of gRPC's own list; ``cert`` and
    ``key`` are the client's own, for an etcd with ``--client-cert-auth``. ``user`` and ``password``
    are for one with authentication enabled.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            have, lack = ("certificate", "key") if self.key is None else ("key", "certificate")
            raise ValueError(f"etcd's client {have} is given without its {lack}: give both files")
        if (self.user is None) != (self.password is None):
            have, lack = ("user", "password") if self.password is None else ("password", "user")
            raise ValueError(f"etcd's {have} is given without a {lack}: give both")

    @classmethod
    def of(
        cls,
        *,
        ca: str = "",
        cert: str = "",
        key: str = "",
        user: str = "",
        password: str = "",
        password_file: str = "",
    ) -> EtcdAccess:
        """From settings, where empty means not given. Raises ``ValueError`` for contradictions."""
        if password and password_file:
            raise ValueError("etcd's password is given twice, as a variable and in a file")
        if password_file:
            password = read_password(Path(password_file))
        files = [Path(file) if file else None for file in (ca, cert, key)]
        access = cls(files[0], files[1], files[2], user=user or None, password=password or None)
        for file in files:
            if file is not None and not file.is_file():
                raise ValueError(f"{file} is not a file: certificates are PEM files")
        return access

    def check(self, endpoints: Endpoints) -> None:
        """Refuse files that could never be used. Raises ``ValueError``."""
        secure = endpoints.members[0].secure
        if (self.ca or self.cert) and not secure:
            raise ValueError(
                f"certificates for etcd are given, but {endpoints} is not https: say https://"
            )

    def certificates(self) -> Certificates:
        """The files as they are now. Raises ``EtcdRefused`` if one can't be read."""
        return Certificates(_read(self.ca), _read(self.cert), _read(self.key))


NO_AUTH: Final = EtcdAccess()
"""No user, no certificate: an etcd that lets everybody in."""


def read_password(file: Path) -> str:
    """The password in ``file``, without the line end behind it. Raises ``ValueError``."""
    try:
        with file.open("rb") as opened:
            raw = opened.read(MAX_PASSWORD + 1)
        password = raw.decode().rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"the password file can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("the password file is not UTF-8") from None
    if not password or len(raw) > MAX_PASSWORD or "\n" in password:
        raise ValueError(f"the password file must hold one line of 1 to {MAX_PASSWORD} bytes")
    return password


def _read(file: Path | None) -> bytes | None:
    if file is None:
        return None
    try:
        return file.read_bytes()
    except OSError as error:
        raise EtcdRefused("a certificate file can't be read", f"{file}: {error.strerror}") from None


DEFAULT_PORT: Final = 2379
"""etcd's registered client port, taken where an endpoint names none."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One member's client address; ``host`` is a name or an IP address, IPv6 without brackets."""

    host: str
    port: int = DEFAULT_PORT
    secure: bool = False

    @property
    def target(self) -> str:
        """The address as gRPC takes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.target}"


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The members of one etcd cluster, at least one, all plain or all TLS."""

    members: tuple[Endpoint, ...]

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError("no etcd endpoint given: give at least one, as in http://HOST:2379")
        if len({member.secure for member in self.members}) > 1:
            raise ValueError(
                f"etcd endpoints mix http and https ({self}): a cluster speaks one of them"
            )

    @classmethod
    def parse(cls, text: str | Iterable[str]) -> Endpoints:
        """Read ``host:port``, ``http://host:port`` or ``https://host:port``, several with commas.

        Raises ``ValueError`` with a sentence that names the faulty part.
        """
        texts = [text] if isinstance(text, str) else list(text)
        parts = [part.strip() for whole in texts for part in whole.split(",")]
        return cls(tuple(_endpoint(part) for part in parts if part))

    def turn(self, attempt: int) -> Endpoint:
        """The member to try at ``attempt`` (0, 1, …): round robin."""
        return self.members[attempt % len(self.members)]

    def __str__(self) -> str:
        return ",".join(map(str, self.members))


def _endpoint(text: str) -> Endpoint:
    parts = _split(text)
    if parts.username is not None or parts.password is not None:
        # SECURITY: the text is not repeated here: it holds a password.
        raise ValueError("an etcd endpoint must not hold a user name or password: give HOST:PORT")
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"{text!r} is not an etcd endpoint: its scheme must be http or https")
    if not parts.hostname or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(f"{text!r} is not an etcd endpoint: give HOST:PORT or http://HOST:PORT")
    port = DEFAULT_PORT if parts.port is None else parts.port
    if port == 0:
        raise ValueError(f"{text!r} is not an etcd endpoint: port 0 can't be connected to")
    return Endpoint(parts.hostname, port, parts.scheme == "https")


def _split(text: str) -> SplitResult:
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError(f"{text!r} is not an etcd endpoint: it holds blanks")
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        _ = parts.port  # parsed on access: raises ValueError for a port that is none
    except ValueError as error:
        raise ValueError(f"{text!r} is not an etcd endpoint: {error}") from None
    return parts


@dataclass(slots=True)
class FullJitter:
    """Delays in seconds, uniform in ``[0, min(cap, first * 2**failures)]``.

    A thousand front-ends that lost the same etcd come back spread over time (AWS Architecture
    Blog, "Exponential Backoff And Jitter").
    """

    first: float = 0.2
    cap: float = 5.0
    rng: random.Random = field(default_factory=random.Random)
    failures: int = 0

    def next(self) -> float:
        """The delay after one more failure."""
        bound = doubling(self.first, self.cap, self.failures)
        self.failures += 1
        return self.rng.uniform(0.0, bound)

    def reset(self) -> None:
        """The work went well again: begin with short delays."""
        self.failures = 0

"""The addresses of etcd's members: text in, checked records out. Pure.

One channel goes to one member and each new attempt goes to the next (``Endpoints.turn``). gRPC's
own multi-address targets know IP addresses only and break TLS's name check, so they are not used.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

__all__ = ["DEFAULT_PORT", "Endpoint", "Endpoints"]

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

"""What etcd wants to see before it answers: a user, a certificate, an authority.

Certificate files are read for each connection, so a rotated certificate is used from the next one
on. A password never comes from an argument list and is in no ``repr``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from discovery.endpoints import Endpoints
from discovery.errors import EtcdRefused

__all__ = ["OPEN", "Certificates", "EtcdAccess", "read_password"]

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
                raise ValueError(f"{file} is no file: certificates are PEM files")
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


OPEN: Final = EtcdAccess()
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

"""Which hosts and addresses an upstream's URL may name: a grammar and a table. Pure.

SECURITY: whoever may announce a worker chooses where this process connects to. Link-local addresses
are where clouds keep the credentials of a machine (169.254.169.254), so they are refused, also
where a name leads there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final
from urllib.parse import unquote

from actors.engines.upstream.names import Address

__all__ = ["AddressRefused", "Network", "Reach", "check_host", "check_path", "forbidden"]

IP = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_MAX_HOST: Final = 253
# RFC 1123, 2.1, and the underscores of container networks. A dot at the end is allowed.
_LABEL: Final = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
# What resolvers read as a number: "127.1", "0x7f.1" and "2130706433" are addresses to some.
_NUMBER: Final = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\\]")

_REFUSED: Final[tuple[tuple[Network, str], ...]] = tuple(
    (ipaddress.ip_network(network), what)
    for network, what in (
        ("0.0.0.0/8", "unspecified"),
        ("169.254.0.0/16", "link-local"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
        ("100.100.100.200/32", "a cloud's metadata server"),
        ("192.0.0.192/32", "a cloud's metadata server"),
        ("168.63.129.16/32", "a cloud's metadata server"),
        ("::/128", "unspecified"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
        ("fd00:ec2::254/128", "a cloud's metadata server"),
    )
)
# IPv6 addresses that stand for an IPv4 address, and how far to the left that is from the end.
_EMBEDDING: Final = (
    (IPv6Network("::ffff:0:0/96"), 0),  # RFC 4291
    (IPv6Network("::ffff:0:0:0/96"), 0),  # RFC 2765
    (IPv6Network("64:ff9b::/96"), 0),  # RFC 6052
    (IPv6Network("64:ff9b:1::/48"), 0),  # RFC 8215
    (IPv6Network("2002::/16"), 80),  # RFC 3056
    (IPv6Network("::/96"), 0),  # RFC 4291, deprecated; :: and ::1 are not of these
)


class AddressRefused(ValueError):
    """A URL names an address that may not be asked; the text says which, why and what to do."""


def check_host(host: str) -> None:
    """Whether ``host`` is a name or an address (RFC 3986, 3.2.2). Raises ``ValueError``.

    As :func:`urllib.parse.urlsplit` returns it: no brackets, no port. A name beyond ASCII must have
    an IDNA form.
    """
    if ":" in host:
        ipaddress.IPv6Address(host)
        return
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        raise ValueError("the host is not a name that the DNS can hold") from None
    labels = name.removesuffix(".").split(".")
    if len(name) > _MAX_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("the host is not a name: give letters, digits, '-' and '.'")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            IPv4Address(name)
        except ValueError:
            raise ValueError("the host looks like an IPv4 address, and is not one") from None


def check_path(path: str) -> None:
    """Whether a URL's path means what it says. Raises ``ValueError``."""
    decoded = unquote(path)
    if _CONTROL.search(decoded):
        raise ValueError("the path holds a control character or a backslash")
    if not {".", ".."}.isdisjoint(unquote(decoded).split("/")):
        raise ValueError("the path holds '.' or '..' as a step")


def forbidden(address: IP, allowed: Sequence[Network] = ()) -> str | None:
    """What is wrong with connecting to ``address``, in a word or two; ``None`` where nothing is.

    What is ``allowed`` is right whatever it is, also by the IPv4 address that an IPv6 one stands
    for.
    """
    for each in _meanings(address):
        if any(each in network for network in allowed):
            return None
    return next(
        (what for each in _meanings(address) for network, what in _REFUSED if each in network), None
    )


def _meanings(address: IP) -> tuple[IP, ...]:
    """The address, and the one that it stands for."""
    if isinstance(address, IPv6Address) and int(address) > 1:
        for network, shift in _EMBEDDING:
            if address in network:
                return address, IPv4Address(int(address) >> shift & 0xFFFF_FFFF)
    return (address,)


class Reach:
    """Where upstreams may be: not at forbidden addresses, and not here.

    ``allowed`` networks are permitted in addition to what is permitted anyway. ``listening`` is
    this service's own host and port, once they are known.
    """

    __slots__ = ("_allowed", "listening")

    def __init__(
        self, allowed: Sequence[Network] = (), listening: tuple[str, int] | None = None
    ) -> None:
        self._allowed: Final = tuple(allowed)
        self.listening = listening

    def refusal(self, host: str, port: int) -> str | None:
        """Why the address ``host`` may not be asked; ``None`` if it may, or is a name."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return None
        what = forbidden(address, self._allowed)
        if what is not None:
            return f"the address {host} is {what}: --upstream-allow {host} would permit it"
        if self._is_own(address, port):
            return f"{host} port {port} is where this service itself listens"
        return None

    def permitted(self, found: Sequence[Address]) -> list[Address]:
        """Those of the addresses that may be asked. Raises ``OSError`` if there is none."""
        refusals = [self.refusal(str(each.place[0]), each.place[1]) for each in found]
        permitted = [each for each, why in zip(found, refusals, strict=True) if why is None]
        if not permitted:
            raise OSError(next((why for why in refusals if why), "there is no address"))
        return permitted

    def _is_own(self, address: IP, port: int) -> bool:
        if self.listening is None or port != self.listening[1]:
            return False
        try:
            host = ipaddress.ip_address(self.listening[0])
        except ValueError:  # it listens at a name, which is a loopback one most of the time
            return any(each.is_loopback for each in _meanings(address))
        if host.is_unspecified:
            return any(each.is_loopback for each in _meanings(address))
        return host in _meanings(address)

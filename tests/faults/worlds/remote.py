"""A deployment that is up already: black box, an address and nothing else."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from typing import Any, cast
from urllib.parse import urlsplit

from tests.faults.evidence import Mark, Vitals
from tests.faults.load import HttpLoad, Target

__all__ = ["NotAllowed", "RemoteWorld", "address_of", "inflight_at", "permitted", "remote"]


class NotAllowed(Exception):
    """The deployment may not, or can't, be attacked; the text says why and what to do."""


def address_of(url: str) -> tuple[str, int]:
    """Host and port of an http URL. Raises :class:`NotAllowed`."""
    parts = urlsplit(url if "//" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise NotAllowed(f"{url!r} is no http URL, as in http://127.0.0.1:8787")
    return parts.hostname, parts.port or 80


def permitted(host: str, *, flag: bool, confirm: Callable[[str], str]) -> None:
    """Loopback is fine; any other host needs the flag, and its name typed. Raises NotAllowed."""
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = host == "localhost"
    if loopback:
        return
    if not flag:
        raise NotAllowed(
            f"{host} is not this machine: faults would hit whoever uses it. If it is yours to"
            " break, add --attack-another-host"
        )
    if confirm(f"Faults will be injected into {host}. Type its name to go on: ").strip() != host:
        raise NotAllowed("the name was not typed: nothing was done")


class RemoteWorld:
    """Somebody else's process: nothing of its inside is known."""

    def __init__(self, address: tuple[str, int], base: float, model: str, rate: float) -> None:
        self.address, self.base, self.model = address, base, model
        self.deadline = 10.0
        targets = (
            Target(model, words=3, any_text=True),
            Target(model, stream=True, words=3, any_text=True),
        )
        self.load: HttpLoad | None = HttpLoad(
            address, targets, rate, base=base, deadline=self.deadline
        )

    @property
    def over(self) -> bool:
        """It is not ours to end."""
        return False

    def vitals(self) -> Vitals:
        """What is in flight, if /health says so."""
        runs = self.load is not None and self.load.running
        return Vitals(inflight=0 if runs else inflight_at(self.address))

    def sample(self) -> Mapping[str, Any]:
        """The models that are listed."""
        return {"models": _models(self.address)}

    def marks(self) -> list[Mark]:
        """Nothing is known."""
        return []

    def injecting(self) -> None:
        """Nothing that it notes is from before."""

    def finish(self) -> Mapping[str, Any]:
        """It runs on; whether it tells how many requests are in flight."""
        body = _get(self.address, "/health")
        told = isinstance(body, dict) and "inflight_requests" in body
        return {"inflight_unknown": not told}


@contextmanager
def remote(
    base: float, *, address: tuple[str, int], model: str, rate: float
) -> Generator[RemoteWorld]:
    """The deployment at ``address``. Raises :class:`NotAllowed` if it serves no model."""
    names = _models(address)
    if names is None:
        raise NotAllowed(f"nothing answers /v1/models at {address[0]}:{address[1]}")
    if not names:
        raise NotAllowed(f"{address[0]}:{address[1]} serves no model just now")
    if model and model not in names:
        raise NotAllowed(f"model {model!r} is not served; there are: {', '.join(names)}")
    yield RemoteWorld(address, base, model or names[0], rate)


def inflight_at(address: tuple[str, int]) -> int:
    """How many requests are in flight, as /health has it; 0 if it does not say."""
    body = _get(address, "/health")
    known = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    return int(known.get("inflight_requests", 0))


def _models(address: tuple[str, int]) -> list[str] | None:
    body = _get(address, "/v1/models")
    try:
        return None if body is None else [each["id"] for each in body["data"]]
    except (KeyError, TypeError):
        return None


def _get(address: tuple[str, int], path: str) -> Any:
    connection = HTTPConnection(*address, timeout=5.0)
    try:
        connection.request("GET", path)
        return json.loads(connection.getresponse().read())
    except (OSError, HTTPException, ValueError):
        return None
    finally:
        connection.close()

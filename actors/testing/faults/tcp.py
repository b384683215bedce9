"""Faults of the network between two programs, in toxiproxy's words; each needs a ``TcpProxy``.

``happened`` counts what a fault has changed: pieces of data that were late, held back, cut up or
lost, ends of streams, connections that were reset, cut or not made. The end of a stream (FIN or
RST) is late, held back or lost like data.
"""

from __future__ import annotations

from typing import Any

from actors.testing.faults.fault import Fault
from actors.testing.faults.tcp_proxy import Direction, TcpProxy

__all__ = [
    "Bandwidth",
    "Down",
    "HalfClose",
    "Latency",
    "LimitData",
    "Partition",
    "ResetPeer",
    "Slicer",
    "SlowClose",
    "Timeout",
]

BOTH: tuple[Direction, Direction] = ("up", "down")


class _Shaped(Fault):
    """Changes some fields of a direction's shape; of several of a kind the last one counts."""

    def __init__(
        self,
        proxy: TcpProxy,
        directions: tuple[Direction, ...],
        sick: dict[str, Any],
        **parameters: object,
    ) -> None:
        if isinstance(directions, str) or not directions or {*directions} - {*BOTH}:
            raise ValueError(f"directions are a tuple of 'up', 'down' or both: not {directions!r}")
        super().__init__(directions="+".join(directions), **parameters)
        self._proxy, self._directions = proxy, directions
        self._sick = sick

    def _inject(self) -> None:
        self._proxy.afflict(self, self._directions, self._sick)

    def _heal(self) -> None:
        self._proxy.relieve(self)


class Latency(_Shaped):
    """Everything takes ``seconds`` longer, give or take ``jitter``.

    Imitates a link across an ocean, or a bufferbloated one.
    """

    def __init__(
        self,
        proxy: TcpProxy,
        seconds: float,
        jitter: float = 0.0,
        *,
        directions: tuple[Direction, ...] = ("down",),
    ) -> None:
        super().__init__(
            proxy,
            directions,
            {"latency": seconds, "jitter": jitter},
            seconds=seconds,
            jitter=jitter,
        )


class Bandwidth(_Shaped):
    """At most ``rate`` bytes a second. Imitates a saturated or throttled link."""

    def __init__(
        self, proxy: TcpProxy, rate: float, *, directions: tuple[Direction, ...] = ("down",)
    ) -> None:
        super().__init__(proxy, directions, {"bandwidth": rate}, rate=rate)


class SlowClose(_Shaped):
    """The end of a stream arrives ``seconds`` late. Imitates a peer whose FIN got lost."""

    def __init__(
        self, proxy: TcpProxy, seconds: float, *, directions: tuple[Direction, ...] = ("down",)
    ) -> None:
        super().__init__(proxy, directions, {"slow_close": seconds}, seconds=seconds)


class Timeout(_Shaped):
    """All data, and ends, vanish; the connection is closed after ``seconds``, with 0 never.

    Imitates a firewall that forgot the connection. What vanished does not come back on healing.
    """

    def __init__(
        self,
        proxy: TcpProxy,
        seconds: float = 0.0,
        *,
        directions: tuple[Direction, ...] = ("down",),
    ) -> None:
        super().__init__(proxy, directions, {"swallow": seconds}, seconds=seconds)


class ResetPeer(_Shaped):
    """Connections are reset ``seconds`` after the injection, or after they were made.

    Imitates a crashed peer, or a load balancer that drops its state.
    """

    def __init__(self, proxy: TcpProxy, seconds: float = 0.0) -> None:
        super().__init__(proxy, ("down",), {"reset": seconds}, seconds=seconds)


class Slicer(_Shaped):
    """Data arrive in pieces of ``size`` bytes, ``delay`` seconds apart.

    Imitates a small MTU or a chatty middlebox: a parser must not take a packet for a message.
    """

    def __init__(
        self,
        proxy: TcpProxy,
        size: int,
        delay: float = 0.0,
        *,
        directions: tuple[Direction, ...] = BOTH,
    ) -> None:
        super().__init__(
            proxy,
            directions,
            {"slice_size": size, "slice_delay": delay},
            size=size,
            delay=delay,
        )


class LimitData(_Shaped):
    """The connection is closed after ``limit`` bytes. Imitates a quota, or a crash mid-answer."""

    def __init__(
        self, proxy: TcpProxy, limit: int, *, directions: tuple[Direction, ...] = ("down",)
    ) -> None:
        super().__init__(proxy, directions, {"limit": limit}, limit=limit)


class Partition(_Shaped):
    """No packet passes in the given directions; both by default, one for an asymmetric partition.

    Imitates a pulled cable or wrong route. Neither side notices, connections stay open; what was
    sent meanwhile arrives after healing, as TCP repeats it.
    """

    def __init__(self, proxy: TcpProxy, *, directions: tuple[Direction, ...] = BOTH) -> None:
        super().__init__(proxy, directions, {"blocked": True})


class Down(Fault):
    """Connections are cut and new ones refused. Imitates a server process that is gone.

    ``happened`` counts those that were cut; it is the kernel that refuses new ones, unseen.
    """

    def __init__(self, proxy: TcpProxy) -> None:
        super().__init__()
        self._proxy = proxy

    def _inject(self) -> None:
        self.happened += self._proxy.close_door()

    def _heal(self) -> None:
        self._proxy.open_door()


class HalfClose(Fault):
    """Every server hears that its client sends nothing more; over as soon as it happened.

    Imitates a proxy that propagates ``shutdown(SHUT_WR)``.
    """

    def __init__(self, proxy: TcpProxy) -> None:
        super().__init__()
        self._proxy = proxy

    def _inject(self) -> None:
        self.happened += self._proxy.half_close()

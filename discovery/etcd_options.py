"""How etcd and the connection to it are treated: measured values, each with its reason. Pure."""

from __future__ import annotations

from typing import Final

__all__ = ["CHANNEL_OPTIONS", "HAS_LEADER", "PAGE", "RPC_TIMEOUT"]

RPC_TIMEOUT: Final = 3.0
"""Seconds that one call may take; etcd answers in milliseconds or not at all."""
PAGE: Final = 1000
"""Keys in one page of a snapshot: 20,000 keys in one answer exceed gRPC's default limit."""
MAX_MESSAGE: Final = 64 * 1024 * 1024
"""Bytes of one message that are accepted: the backlog of a watch comes in one piece."""

CHANNEL_OPTIONS: Final[tuple[tuple[str, int], ...]] = (
    # A frozen member is noticed within 9 s. Without ping_timeout_ms gRPC waits for 60 s at least,
    # without max_pings_without_data=0 it stops asking. etcd hangs up on who asks three times in
    # less than 5 s each (--grpc-keepalive-min-time): a second more, for a ping that was held up.
    # gRPC reads the answers on threads of its own, so a busy interpreter is no silent etcd.
    ("grpc.keepalive_time_ms", 6_000),
    ("grpc.keepalive_timeout_ms", 3_000),
    ("grpc.http2.ping_timeout_ms", 3_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 0),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 3_000),
    ("grpc.enable_retries", 0),
    # etcd is a neighbour: http_proxy and the like are meant for the internet, also on loopback.
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
)
HAS_LEADER: Final = (("hasleader", "true"),)
"""Metadata that has a member without a leader fail the call; it would stay silent otherwise."""

"""The seeded mutants of the HTTP server, which clients from hell must notice."""

from __future__ import annotations

from typing import Final

from tests.mutants.mutant import Mutant

__all__ = ["CLIENTS"]

CLIENTS: Final = (
    Mutant(
        "bad-json",
        "an error has another shape than OpenAI's",
        "http/http_service:body_of",
        "'code'",
        "'kind'",
    ),
    Mutant(
        "slow-readers",
        "the loop waits for a client that does not read",
        "http/http_service:Channel.send_now",
        "sent = self.socket.send(data)",
        "self.socket.settimeout(10.0)\nself.socket.sendall(data)\nsent = len(data)",
    ),
    Mutant(
        "leave-mid-answer-rst",
        "a request that ended is still in flight",
        "http/http_service:Exchange.close_books",
        "self._inflight.running.discard(self)",
        "",
    ),
    Mutant(
        "idle",
        "fifty connections are all there are",
        "http/http_service:_connections",
        "min(config.connection_limit, _file_limit() - RESERVED_FILES - SPARE_CONNECTIONS)",
        "50",
    ),
    Mutant(
        "bad-http",
        "a body may be of any size",
        "http/http_service:waitress_settings",
        "config.body_limit + 1",
        "1 << 60",
    ),
    Mutant(
        "leave-before-body",
        "who leaves within a request keeps the connection",
        "http/http_service:ClosingChannel.handle_close",
        "super().handle_close()",
        "if self.request is None:\n    super().handle_close()",
    ),
    Mutant(
        "leave-before-body-rst",
        "who leaves within a request keeps the connection",
        "http/http_service:ClosingChannel.handle_close",
        "super().handle_close()",
        "if self.request is None:\n    super().handle_close()",
    ),
    Mutant(
        "leave-mid-body",
        "who leaves within a request keeps the connection",
        "http/http_service:ClosingChannel.handle_close",
        "super().handle_close()",
        "if self.request is None:\n    super().handle_close()",
    ),
    Mutant(
        "leave-mid-body-rst",
        "who leaves within a request keeps the connection",
        "http/http_service:ClosingChannel.handle_close",
        "super().handle_close()",
        "if self.request is None:\n    super().handle_close()",
    ),
    Mutant(
        "leave-waiting",
        "nobody looks whether a client that waits has left",
        "http/http_service:Channel.ready",
        "self.handle_close()",
        "",
    ),
    Mutant(
        "leave-waiting-rst",
        "an answer on its way is not told that its client left",
        "http/http_service:ClosingChannel.handle_close",
        "writer.client_left()",
        "",
    ),
    Mutant(
        "leave-mid-answer",
        "a stream that was left is still counted",
        "http/http_service:Exchange.client_left",
        "self._end(200 if self._head_sent else 499, close=True)",
        "if not self._head_sent:\n    self._end(499, close=True)",
    ),
    Mutant(
        "slow-headers",
        "one address may have 64 connections",
        "http/http_service:connection_cap",
        "config.connections_per_address",
        "config.connections_per_address or 64",
    ),
    Mutant(
        "slow-bodies",
        "each piece of a body costs all others 20 ms",
        "http/http_service:Channel.handle_read",
        "data = self.socket.recv(self.adj.recv_bytes)",
        "if self.request is not None:\n"
        "    threading.Event().wait(0.02)\n"
        "data = self.socket.recv(self.adj.recv_bytes)",
    ),
    Mutant(
        "odd-json",
        "a body that is no JSON is our own failure",
        "http/http_service:parse_json",
        "(orjson.JSONDecodeError, msgspec.DecodeError, RecursionError)",
        "(msgspec.DecodeError, RecursionError)",
    ),
)

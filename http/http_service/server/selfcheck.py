"""Whether this Waitress is the one that we know: every internal that we touch, as a literal table.

Waitress is pinned, but a distribution may patch it and a user may override the pin. Where the check
finds a difference, the service says so and streams as plain WSGI instead of failing in the middle
of an answer. What the internals *do* is the business of the conformance tests.
"""

# pyright: basic, reportArgumentType=false, reportAttributeAccessIssue=false
# The reason: waitress ships no types, and what pyright guesses instead is wrong in places.

from __future__ import annotations

import contextlib
import inspect
import socket
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask

__all__ = ["TABLE", "Part", "mismatches"]


@dataclass(frozen=True, slots=True)
class Part:
    """One internal: which object has it, its name, what it is, and why we need it.

    ``shape`` is a call's parameters without ``self``, as in ``"(data)"``, or the name of a value's
    type, or ``""`` where any value will do.
    """

    owner: str
    name: str
    shape: str
    why: str


TABLE: Final[tuple[Part, ...]] = (
    Part("parser", "received", "(data)", "the channel feeds it; ours overrides it"),
    Part("parser", "close", "()", "the channel ends a request with it"),
    Part("parser", "headers", "dict", "WSGI's environment is made from it"),
    Part("parser", "adj", "Adjustments", "the limits"),
    Part("parser", "completed", "bool", "the channel starts the task by it"),
    Part("parser", "empty", "bool", "a blank line is no request"),
    Part("parser", "error", "NoneType", "the channel chooses the error task by it"),
    Part("parser", "expect_continue", "bool", "100 Continue"),
    Part("parser", "headers_finished", "bool", "100 Continue; the head's deadline"),
    Part("parser", "header_plus", "bytes", "the part of a head that is here"),
    Part("parser", "header_bytes_received", "int", "the head's limit"),
    Part("parser", "body_rcv", "NoneType", "ours puts its own bodies there"),
    Part("parser", "body_bytes_received", "int", "the body's limit and deadline"),
    Part("parser", "content_length", "int", "the body's length"),
    Part("parser", "chunked", "bool", "the body's framing"),
    Part("parser", "connection_close", "bool", "keep-alive"),
    Part("parser", "version", "str", "the answer's version"),
    Part("task", "get_environment", "()", "what the application has answered takes its place"),
    Part("task", "service", "()", "the channel runs it"),
    Part("task", "start", "()", "part of service"),
    Part("task", "execute", "()", "runs the application"),
    Part("task", "write", "(data)", "the head goes with the first bytes"),
    Part("task", "build_response_header", "()", "Connection: close while draining"),
    Part("task", "set_close_on_finish", "()", "closes after this answer"),
    Part("task", "close_on_finish", "bool", "whether the connection stays"),
    Part("task", "wrote_header", "bool", "whether the head is out"),
    Part("task", "chunked_response", "bool", "the framing of the answer"),
    Part("task", "content_length", "NoneType", "the framing of the answer"),
    Part("task", "version", "str", "the framing of the answer"),
    Part("task", "status", "str", "the answer's status"),
    Part("task", "complete", "bool", "whether start_response was called"),
    Part("task", "response_headers", "list", "the answer's headers"),
    Part("task", "request", "HTTPRequestParser", "what is answered"),
    Part("task", "channel", "HTTPChannel", "where the answer goes"),
    Part("error_task", "execute", "()", "refusals are told in OpenAI's shape"),
    Part("channel", "__init__", "(server, sock, addr, adj, map=None)", "ours takes its place"),
    Part("channel", "service", "()", "a worker runs it; writes what ours does not"),
    Part("channel", "cancel", "()", "the drain's last resort"),
    Part("channel", "handle_write", "()", "lingering comes before closing"),
    Part("channel", "handle_close", "()", "the client has left"),
    Part("channel", "recv", "(buffer_size)", "lingering reads and drops"),
    Part("channel", "send", "(data, do_close=True)", "sends without a copy"),
    Part("channel", "write_soon", "(data)", "a worker's writes"),
    Part("channel", "send_continue", "()", "100 Continue"),
    Part("channel", "add_channel", "(map=None)", "open connections are counted"),
    Part("channel", "del_channel", "(map=None)", "open connections are counted"),
    Part("channel", "_flush_some", "(do_close=True)", "sends what is ready"),
    Part("channel", "_flush_exception", "(flush, do_close=True)", "sends what is ready"),
    Part("channel", "_fileno", "int", "the loop's key"),
    Part("channel", "adj", "Adjustments", "the limits"),
    Part("channel", "addr", "tuple", "connections of one address are counted"),
    Part("channel", "server", "", "the way to the loop"),
    Part("channel", "socket", "socket", "what was taken over is written to it"),
    Part("channel", "sent_continue", "bool", "100 Continue"),
    Part("channel", "requests", "list", "a connection with one is not idle"),
    Part("channel", "request", "NoneType", "the one being received"),
    Part("channel", "requests_lock", "lock", "guards requests"),
    Part("channel", "outbuf_lock", "Condition", "guards what is unsent"),
    Part("channel", "outbufs", "list", "what is unsent"),
    Part("channel", "total_outbufs_len", "int", "how much is unsent"),
    Part("channel", "current_outbuf_count", "int", "how much is unsent"),
    Part("channel", "connected", "bool", "whether the client is there"),
    Part("channel", "will_close", "bool", "closes at the next chance"),
    Part("channel", "close_when_flushed", "bool", "closes once all is sent"),
    Part("channel", "parser_class", "type", "ours takes its place"),
    Part("channel", "task_class", "type", "ours takes its place"),
    Part("channel", "error_task_class", "type", "ours takes its place"),
    Part("server", "application", "", "what the application answered takes its place"),
    Part("server", "handle_accept", "()", "admission"),
    Part("server", "accept", "()", "admission"),
    Part("server", "fix_addr", "(addr)", "admission"),
    Part("server", "set_socket_options", "(conn)", "admission"),
    Part("server", "add_task", "(task)", "starts a worker on a request"),
    Part("server", "pull_trigger", "()", "wakes the loop"),
    Part("server", "handle_error", "()", "a broken listener crashes the actor"),
    Part("server", "accepting", "bool", "the drain's begin"),
    Part("server", "active_channels", "dict", "the open connections"),
    Part("server", "task_dispatcher", "", "the workers"),
    Part("server", "channel_class", "type", "ours takes its place"),
    Part("server", "trigger", "trigger", "wakes the loop"),
    Part("server", "_map", "dict", "the loop's sockets"),
    Part("wasyncore", "dispatcher", "type", "makes a channel of a socket"),
    Part("dispatcher", "add_task", "(task)", "starts a worker on a request"),
    Part("dispatcher", "set_thread_count", "(count)", "the workers"),
    Part("dispatcher", "shutdown", "(cancel_pending=True, timeout=5)", "stops the workers"),
    Part("dispatcher", "queue_logger", "Logger", "a full pool is no news"),
)


CHANNEL_HAS: Final = frozenset(
    (
        "_fileno",
        "_map",
        "addr",
        "adj",
        "connected",
        "creation_time",
        "last_activity",
        "outbuf_lock",
        "outbufs",
        "requests",
        "requests_lock",
        "sendbuf_len",
        "server",
        "socket",
    )
)
"""What Waitress' channel sets when it is made; ours sets what of it is needed by itself."""


def mismatches(table: tuple[Part, ...] = TABLE) -> list[str]:
    """What is not as we know it, one sentence each; empty when all is well.

    Takes about a millisecond; opens and closes a few sockets. Never raises.
    """
    try:
        with _specimens() as specimens:
            said = [_mismatch(part, specimens[part.owner]) for part in table]
            said += [
                f"channel.{name} is set by its __init__, which ours does not do"
                for name in sorted(vars(specimens["channel"]).keys() - CHANNEL_HAS)
            ]
            return [each for each in said if each]
    except Exception as error:  # noqa: BLE001  # a Waitress that can't even be built is a mismatch
        return [f"waitress can't be built as we know it: {type(error).__name__}: {error}"]


def _mismatch(part: Part, owner: object) -> str:
    name = f"{part.owner}.{part.name}"
    missing = object()
    found = getattr(owner, part.name, missing)
    if found is missing:
        return f"{name} is missing (needed: {part.why})"
    shape = _shape_of(found)
    if part.shape and shape != part.shape:
        return f"{name} is {shape}, not {part.shape} (needed: {part.why})"
    return ""


def _shape_of(found: Any) -> str:
    if inspect.isroutine(found):
        signature = inspect.signature(found)
        return str(signature.replace(return_annotation=inspect.Signature.empty))
    return type(found).__name__


@contextlib.contextmanager
def _specimens() -> Generator[Mapping[str, object]]:
    """One real object of each kind, none of them running."""
    adjustments = Adjustments()
    with contextlib.ExitStack() as stack:
        ours, theirs = socket.socketpair()
        stack.callback(theirs.close)
        stack.callback(ours.close)
        channel = HTTPChannel(
            SimpleNamespace(active_channels={}), ours, ("127.0.0.1", 1), adjustments, map={}
        )
        listening = socket.socket()
        stack.callback(listening.close)
        dispatcher = ThreadedTaskDispatcher()
        server = TcpWSGIServer(
            lambda _environ, _start: [],
            map={},
            _start=False,
            _sock=listening,
            dispatcher=dispatcher,
            adj=adjustments,
            sockinfo=(listening.family, listening.type, listening.proto, ("127.0.0.1", 0)),
            bind_socket=False,
        )
        stack.callback(server.trigger.close)
        parser = HTTPRequestParser(adjustments)
        yield {
            "parser": parser,
            "task": WSGITask(channel, parser),
            "error_task": ErrorTask(channel, parser),
            "channel": channel,
            "server": server,
            "dispatcher": dispatcher,
            "wasyncore": wasyncore,
        }

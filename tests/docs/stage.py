"""Where a page's commands run: as written, but with the addresses of this test in their place.

A page may speak of etcd on port 2379, of the service on 8787 and of a model server on 8000. Here
each is a real process or server on a free port of loopback. A command that runs on (the service, a
worker) is started, waited for and kept until the page ends; all others must succeed.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from typing import Final, Self

from actors.cli.commands import COMMANDS
from tests.docs.blocks import ROOT
from tests.support.callboard import Callboard, run_to_end
from tests.support.chat import get_models
from tests.support.etcd import EtcdServer, etcdctl_binary
from tests.support.slow_upstream import SlowUpstream
from tests.support.waiting import eventually, free_port

__all__ = ["Stage"]

SERVICE: Final = "127.0.0.1:8787"
ETCD: Final = "127.0.0.1:2379"
CONSOLE: Final = "127.0.0.1:8788"
MODEL_SERVER: Final = "127.0.0.1:8000"
READY: Final = {"worker": "announced", "serve": "listening on ", "demo": "listening on "}
"""What a command that runs on says when it is up."""


class Stage:
    """Runs the commands of one page in order; ends what they started."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._etcd = self._stack.enter_context(EtcdServer())
        self._upstream = self._stack.enter_context(SlowUpstream())
        self._port, self._console = free_port(), free_port()
        self._service_process: Callboard | None = None
        self._places = {
            SERVICE: f"127.0.0.1:{self._port}",
            ETCD: self._etcd.endpoint.removeprefix("http://"),
            CONSOLE: f"127.0.0.1:{self._console}",
            "port(8080)": "port(0)",
            MODEL_SERVER: self._upstream.url.removeprefix("http://").removesuffix("/v1"),
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def placed(self, text: str) -> str:
        """``text`` with the addresses of this test in the place of the page's."""
        for written, real in self._places.items():
            text = text.replace(written, real)
        return text

    def run(self, command: list[str]) -> str:
        """Run one command of the page; answer what it printed."""
        words = [self.placed(word) for word in command]
        match words:
            case ["make", target, *_]:
                return self._make(target)
            case ["python", "-m", "actors.main", *arguments]:
                return self._callboard(arguments)
            case ["python", *arguments]:
                return _succeed([sys.executable, *arguments])
            case ["etcd"]:
                return self._etcd.endpoint
            case ["etcdctl", *arguments]:
                return _succeed([etcdctl_binary(), *arguments])
            case ["curl", *arguments]:
                return self._curl(arguments)
            case _:
                raise AssertionError(f"the page shows a command that no test knows: {command}")

    def _make(self, target: str) -> str:
        """Run what ``make run`` would start; of other targets, only see that they exist."""
        planned = _succeed(["make", "--dry-run", "--no-print-directory", target])
        if target == "run":
            assert "-m actors.main demo" in planned
            return self._callboard(["demo"])
        return planned

    def _callboard(self, arguments: list[str]) -> str:
        if "--help" in arguments:
            return _succeed([sys.executable, "-m", "actors.main", *arguments])
        if arguments and arguments[0] in {*COMMANDS} - {*READY}:
            return self._asking(arguments)
        command = arguments[0] if arguments and arguments[0] in READY else "serve"
        here = {
            "CALLBOARD_HOST": "127.0.0.1",
            "CALLBOARD_PORT": str(self._port),
            "CALLBOARD_CONSOLE": f"127.0.0.1:{self._console}",
        }
        environment = {} if command == "worker" else here
        if command != "worker" and self._service_process is not None:
            # The page starts another service in the same place: its reader has stopped the first.
            self._service_process.signal(signal.SIGTERM)
            assert self._service_process.exit_code(60) == 0
        if command == "demo":  # it is killed at the end, and then removes nothing
            folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
            environment["TMPDIR"] = self._stack.enter_context(folder)
        process = self._stack.enter_context(Callboard(*arguments, environment=environment))
        if command != "worker":
            self._service_process = process
        return process.wait_for(READY[command], 180.0)

    def _asking(self, arguments: list[str]) -> str:
        """A command that asks the front-end, and ends by itself."""
        here = {
            "CALLBOARD_ADMIN_URL": f"http://127.0.0.1:{self._console}",
            "CALLBOARD_URL": f"{self._service}/v1",
        }
        done = run_to_end(*arguments, environment=here)
        assert done.returncode == 0, f"{arguments} failed:\n{done.stdout}{done.stderr}"
        return done.stdout

    def _curl(self, arguments: list[str]) -> str:
        """Ask as curl would; the machine may not have it, so its three options are spelt out."""
        url, *options = arguments
        pairs = dict(zip(options[::2], options[1::2], strict=True))
        assert pairs.keys() <= {"-H", "-d"}, f"teach the stage this option of curl: {options}"
        body = pairs.get("-d")
        if body is not None:
            model = json.loads(body)["model"]
            eventually(lambda: model in get_models(self._service), 30, f"{model!r} is listed")
        headers = dict([pairs["-H"].split(": ", 1)]) if "-H" in pairs else {}
        request = urllib.request.Request(url, body.encode() if body else None, headers)
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: bytes = response.read()
        if shutil.which("curl"):
            assert _succeed(["curl", "--fail", "--silent", *arguments])
        return answer.decode()

    @property
    def _service(self) -> str:
        return f"http://127.0.0.1:{self._port}"


def _succeed(command: list[str]) -> str:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}{done.stderr}"
    return done.stdout

"""Records the terminal sessions of ``docs/guides/command-line.md``, in a real terminal.

Run ``python -m tests.docs.recorded`` to write them again: each ``text`` block behind a line
``<!-- recorded: NAME -->`` becomes what the screen showed. The front-end, its instances and the
load on it are real; figures and times differ from one recording to the next.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.cli.terminal import Terminal
from tests.docs.blocks import ROOT
from tests.support.callboard import Callboard
from tests.support.chat import stream_lines, wait_for_model
from tests.support.slow_upstream import SlowUpstream

__all__ = ["PAGE", "RECORDINGS", "main"]

PAGE: Final = ROOT / "docs" / "guides" / "command-line.md"

LOAD: Final = 4
"""Clients that ask at a time."""


class World:
    """A front-end with two models, three instances and some load, one instance of which is gone."""

    def __init__(self, stack: ExitStack) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        paced = [stack.enter_context(SlowUpstream(tokens=40, interval=0.04)) for _ in range(2)]
        places = [("llama-3-70b", "gpu-1", paced[0].url), ("llama-3-70b", "gpu-2", paced[1].url)]
        places += [
            ("llama-3-70b", "gpu-7", "http://127.0.0.1:9/v1"),
            ("qwen3-32b", "gpu-5", paced[1].url),
        ]
        for model, instance, url in places:
            entry = {
                "name": model,
                "model_type": "chat",
                "instance": instance,
                "max_concurrency": 16,
            }
            text = json.dumps({**entry, "endpoint": {"url": url}})
            (folder / f"{instance}.json").write_text(text)
        at = ("--host", "127.0.0.1", "--port", "0", "--console", "127.0.0.1:0", "--config", "off")
        self.front = stack.enter_context(Callboard("serve", *at, "--discovery-dir", str(folder)))
        self.url = self.front.url
        self.admin = self.front.wait_for("console on ").split("console on ")[1].strip()
        wait_for_model(self.url, "llama-3-70b")
        self._ended = threading.Event()
        for number in range(LOAD):
            model = ("llama-3-70b", "qwen3-32b")[number % 2]
            threading.Thread(target=self._ask, args=(model,), daemon=True).start()

    def close(self) -> None:
        """Have the load end."""
        self._ended.set()

    def _ask(self, model: str) -> None:
        with contextlib.suppress(OSError):  # the front-end has stopped
            while not self._ended.is_set():
                stream_lines(self.url, model)

    @contextmanager
    def terminal(self, *arguments: str, rows: int = 24) -> Generator[Terminal]:
        """The command in a terminal of its own."""
        places = {"CALLBOARD_ADMIN_URL": self.admin, "CALLBOARD_URL": f"{self.url}/v1"}
        command = [sys.executable, "-m", "actors.main", *arguments]
        with Terminal(command, {**places, "NO_COLOR": "1"}, rows) as terminal:
            yield terminal

    def kill(self, path: str) -> None:
        """Cut a child of the tree off."""
        connection = http.client.HTTPConnection(self.admin.removeprefix("http://"), timeout=10)
        body = json.dumps({"confirm": path})
        head = {"content-type": "application/json"}
        connection.request("POST", f"/admin/v1/tree/{path}:kill", body, head)
        assert connection.getresponse().status == 200
        connection.close()


def _top(world: World) -> str:
    with world.terminal("top") as terminal:
        screen = terminal.wait_until(
            lambda screen: "up 00:00:4" in screen and "requests/s  0/0" not in screen,
            "forty seconds of load",
        )
        terminal.type("q")
    return screen


def _tree(world: World) -> str:
    with world.terminal("tree", "--watch") as terminal:
        terminal.wait_for("registry, up")
        for times in (1, 2, 3):
            world.kill("registry")
            screen = terminal.wait_for(f"registry, up, restarted {times} times")
        terminal.type("\x03")
    return screen


def _chat(world: World) -> str:
    with world.terminal("chat", "qwen3-32b", "--system", "Be brief.") as terminal:
        terminal.wait_for("Ctrl-D ends")
        terminal.type("How are you?\n")
        terminal.wait_for("tok/s)")
        terminal.type("Tell me a long story.\n")
        terminal.wait_until(lambda screen: screen.count("tick") > 50, "some of the answer")
        terminal.type("\x03")
        screen = terminal.wait_until(lambda screen: "(stopped)\n>" in screen, "the next prompt")
        terminal.type("\x04")
    return screen.replace(world.url, "http://127.0.0.1:8787")


def _drain(world: World) -> str:
    with world.terminal("drain", "llama-3-70b#gpu-1", "--wait") as terminal:
        return terminal.wait_for("nothing is in flight")


RECORDINGS: Final[Mapping[str, Callable[[World], str]]] = {
    "top": _top,
    "tree --watch": _tree,
    "chat": _chat,
    "drain --wait": _drain,
}


def main() -> None:
    """Record each session, and write it into the page."""
    page = PAGE.read_text()
    with ExitStack() as stack:
        world = World(stack)
        stack.callback(world.close)
        for name, record in RECORDINGS.items():
            text = re.sub(r"\n{3,}", "\n\n", record(world))
            block = f"<!-- recorded: {name} -->\n\n```text\n$ callboard {name} …\n{text}\n```\n"
            pattern = rf"<!-- recorded: {re.escape(name)} -->\n\n```text\n.*?```\n"
            (before,) = re.findall(pattern, page, flags=re.DOTALL)
            page = page.replace(before, block)
    PAGE.write_text(page)


if __name__ == "__main__":
    main()

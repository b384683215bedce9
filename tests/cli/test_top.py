"""``top``: its screen by textual's Pilot, once in a real terminal, and where it can't run."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import DataTable, Input, Label, Tree

from actors.cli.top_feed import FIGURES, Board, duration, short
from actors.cli.top_screen import TopApp
from actors.settings.admin import AdminSettings
from tests.cli.admin_server import AdminServer, instance, model
from tests.cli.terminal import Terminal
from tests.support.callboard import run_to_end

OVERVIEW = {"status": "ready", "process": 7, "uptime": 3 * 86_400 + 4 * 3600 + 720.0}
CHILD: dict[str, Any] = {
    "supervisor": False,
    "restarts": 0,
    "mailbox_depth": 0,
    "busy_for": None,
    "last_exit": None,
    "children": [],
}
REGISTRY = {**CHILD, "id": "registry", "path": "registry", "state": "up"}
HTTP = {**CHILD, "id": "http", "path": "serving/http", "state": "up"}
SERVING = {**CHILD, "id": "serving", "path": "serving", "state": "up", "children": [HTTP]}
TREE = {**CHILD, "id": "callboard", "path": "", "state": "up", "children": [REGISTRY, SERVING]}
MODELS = [
    model("llama-3", instance("gpu-1", inflight=14), instance("gpu-7", state="ejected")),
    model("qwen", instance("gpu-5", max_concurrency=None)),
]
STATS: dict[str, Any] = {
    "at": 1.0,
    "series": {
        "requests": 412.0,
        "errors": 0.0,
        "tokens": 26_400.0,
        "first_token_p50": 0.038,
        "first_token_p99": None,
        "inflight": 318,
        "connections": 291,
        "cpu": 0.71,
        "memory": 1.0,
        "loop_lag": 0.0012,
    },
    "models": {},
}


@pytest.fixture
def server() -> Iterator[AdminServer]:
    with AdminServer({"overview": OVERVIEW}) as found:
        for topic, document in (("tree", TREE), ("models", MODELS), ("stats", STATS)):
            found.send(topic, document)
        yield found


def shows(pilot: Pilot[int], check: Callable[[], object]) -> Awaitable[None]:
    """Wait until the screen has it; textual has no event for what the stream brings."""

    async def wait() -> None:
        for _ in range(600):
            if check():
                return
            await pilot.pause(0.05)
        raise AssertionError("it did not come")

    return wait()


def piloted(server: AdminServer, steps: Callable[[TopApp, Pilot[int]], Awaitable[None]]) -> None:
    """Run the application without a terminal, its size that of the mock-up."""

    async def run() -> None:
        app = TopApp(AdminSettings(admin_url=server.url))
        async with app.run_test(size=(150, 40)) as pilot:
            await shows(pilot, lambda: str(label(app, 0)).startswith("requests/s"))
            await steps(app, pilot)

    asyncio.run(run())


def label(app: TopApp, at: int) -> object:
    return app.query_one(f"#value-{at}", Label).render()


def cells(app: TopApp) -> list[list[str]]:
    table: DataTable[Any] = app.query_one("#instances", DataTable)  # pyright: ignore[reportUnknownVariableType]  # a class has no parameter at run time
    return [[str(cell) for cell in table.get_row_at(at)] for at in range(table.row_count)]


def posted(server: AdminServer) -> tuple[str, Any]:
    return server.posted.get(timeout=30)


def test_it_shows_figures_tree_and_instances(server: AdminServer) -> None:
    async def steps(app: TopApp, _pilot: Pilot[int]) -> None:
        assert app.sub_title == "ready, process 7, up 3 d 04:12"
        texts = [str(label(app, at)) for at in range(len(FIGURES))]
        assert texts == [
            "requests/s  412/0",
            "first token  38 ms/-",
            "tokens/s  26.4k",
            "in flight  318/291",
            "CPU, lag  71 %/1 ms",
        ]
        rows = cells(app)
        assert [row[:5] for row in rows] == [
            ["llama-3", "chat", "gpu-1", "serving", "14/16"],
            ["", "chat", "gpu-7", "ejected", "0/16"],
            ["qwen", "chat", "gpu-5", "serving", "0"],
        ]
        tree: Tree[str] = app.query_one("#tree", Tree)  # pyright: ignore[reportUnknownVariableType]  # likewise
        names = [str(child.label).split("  ")[0] for child in tree.root.children]
        assert names == ["● registry", "● serving"]
        assert tree.root.children[1].children[0].data == "serving/http"

    piloted(server, steps)


def test_d_drains_the_instance_under_the_cursor_and_undrains_a_drained_one(
    server: AdminServer,
) -> None:
    async def steps(app: TopApp, pilot: Pilot[int]) -> None:
        app.query_one("#instances").focus()
        await pilot.press("down", "d")
        await shows(pilot, lambda: not server.posted.empty())
        assert posted(server) == ("instances/chat/llama-3/gpu-7:drain", {})
        overrides = {"drained": True, "ejected": False, "weight": None}
        server.send("models", [model("llama-3", instance("gpu-7", overrides=overrides))])
        await shows(pilot, lambda: cells(app)[0][3] == "drained")
        await pilot.press("d")
        await shows(pilot, lambda: not server.posted.empty())
        assert posted(server) == ("instances/chat/llama-3/gpu-7:undrain", {})

    piloted(server, steps)


def test_w_asks_for_a_weight_and_refuses_what_is_none(server: AdminServer) -> None:
    async def steps(app: TopApp, pilot: Pilot[int]) -> None:
        await pilot.press("w")
        server.send("stats", STATS)  # what comes meanwhile is drawn behind the question
        server.send("models", MODELS)
        app.screen.query_one(Input).value = "heavy"
        await pilot.press("enter", "w")
        app.screen.query_one(Input).value = "0.5"
        await pilot.press("enter")
        await shows(pilot, lambda: not server.posted.empty())
        assert posted(server) == ("instances/chat/llama-3/gpu-1:weight", {"weight": 0.5})
        assert server.posted.empty()

    piloted(server, steps)


def test_r_restarts_the_child_under_the_cursor(server: AdminServer) -> None:
    async def steps(app: TopApp, pilot: Pilot[int]) -> None:
        app.query_one("#tree").focus()
        await pilot.press("down", "down", "down", "r")
        await shows(pilot, lambda: not server.posted.empty())
        assert posted(server) == ("tree/serving%2Fhttp:restart", {})

    piloted(server, steps)


def test_a_filter_keeps_models_and_a_pause_keeps_the_picture(server: AdminServer) -> None:
    async def steps(app: TopApp, pilot: Pilot[int]) -> None:
        await pilot.press("slash", "q", "w", "enter")
        await shows(pilot, lambda: [row[0] for row in cells(app)] == ["qwen"])
        await pilot.press("p")
        assert app.sub_title == "paused"
        server.send("models", [model("qwen", instance("gpu-6"))])
        server.send("stats", {**STATS, "series": {**STATS["series"], "requests": 1.0}})
        await pilot.press("p")
        server.send("models", [model("qwen", instance("gpu-8"))])
        await shows(pilot, lambda: cells(app)[0][2] == "gpu-8")

    piloted(server, steps)


def test_a_name_with_markup_and_control_characters_is_shown_as_text(server: AdminServer) -> None:
    async def steps(app: TopApp, pilot: Pilot[int]) -> None:
        name = "[red]a[/red]\x1b[31m"
        server.send("models", [model(name, instance("[bold]x"))])
        await shows(pilot, lambda: len(cells(app)) == 1)
        assert cells(app)[0][0] == "[red]a[/red]?[31m"
        assert cells(app)[0][2] == "[bold]x"

    piloted(server, steps)


def test_in_a_real_terminal_it_draws_and_q_ends_it(server: AdminServer) -> None:
    command = [sys.executable, "-m", "actors.main", "top", "--admin-url", server.url]
    with Terminal(command) as terminal:
        for text in ("requests/s", "registry", "llama-3", "ejected", "Drain", "Quit"):
            terminal.wait_for(text)
        terminal.type("q")
        assert terminal.exit_code() == 0


def test_where_textual_is_missing_it_names_the_extra() -> None:
    code = (
        "import sys, importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'textual' else real(name, *rest)\n"
        "from actors.main import run; sys.exit(run(['top']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "pip install 'callboard[top]'" in done.stderr


def test_it_needs_a_terminal_and_a_front_end() -> None:
    done = run_to_end("top")
    assert (done.returncode, done.stdout) == (1, "")
    assert "top needs a terminal" in done.stderr
    command = [sys.executable, "-m", "actors.main", "top", "--admin-url", "http://127.0.0.1:1"]
    with Terminal(command) as terminal:
        assert terminal.exit_code() == 1
        terminal.wait_for("no admin API answers")


def test_a_board_keeps_a_minute_of_each_series() -> None:
    board = Board()
    for value in range(100):
        board.take("stats", {"series": {"requests": value}})
    assert board.line(FIGURES[0]) == [*range(40, 100)]
    assert board.figure(FIGURES[0]) == "99/-"


@pytest.mark.parametrize(
    ("value", "said"), [(0, "0"), (0.44, "0.4"), (412, "412"), (26_400, "26.4k"), (1.2e6, "1.2M")]
)
def test_a_number_is_short(value: float, said: str) -> None:
    assert short(value) == said


def test_a_duration_names_days_once_there_are_some() -> None:
    assert duration(59) == "00:00:59"
    assert duration(3 * 86_400 + 4 * 3600 + 720) == "3 d 04:12"

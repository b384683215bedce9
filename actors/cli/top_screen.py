"""The screen of ``top``, in textual: figures above, the tree on the left, instances on the right.

One thread reads the stream; all else is on textual's. Needs the extra ``callboard[top]``.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, Final
from urllib.parse import quote

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import DataTable, Footer, Header, Input, Label, Sparkline, Tree
from textual.widgets.tree import TreeNode

from actors.cli.admin import STREAM_TIMEOUT, child_facts, opened
from actors.cli.client import Client, Unreachable
from actors.cli.operate import Instance
from actors.cli.output import shown
from actors.cli.top_feed import COLUMNS, FIGURES, Board, InstanceRow
from actors.option_types import weight_or_announced
from actors.settings.admin import AdminSettings

__all__ = ["TopApp"]

_TOPICS: Final = "stats,tree,models"

OVERVIEW_EVERY: Final = 2
"""Seconds between two looks at how the front-end is."""

AGAIN: Final = 1.0
"""Seconds before the stream is asked for again, once it broke."""

_STYLES: Final = {
    **dict.fromkeys(("up", "serving"), "green"),
    **dict.fromkeys(("starting", "restarting", "on_trial", "draining", "drained"), "yellow"),
    **dict.fromkeys(("down", "ejected", "open"), "red"),
}


class _Asking(ModalScreen[str]):
    """Asks for one line; "" if it is left by Escape."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave")]

    def __init__(self, what: str, value: str) -> None:
        super().__init__()
        self._what, self._value = what, value

    def compose(self) -> ComposeResult:
        """The question, and where to type."""
        with Vertical(id="asking"):
            yield Label(self._what)
            yield Input(self._value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter: that is the answer."""
        self.dismiss(event.value)

    def action_leave(self) -> None:
        """Escape: there is none."""
        self.dismiss("")


class TopApp(App[int]):
    """The whole screen; returns the exit code."""

    TITLE = "callboard top"
    CSS = """
    #figures { height: 5; }
    .figure { border: round $primary-darken-2; padding: 0 1; width: 1fr; }
    .figure Label { text-wrap: nowrap; text-overflow: ellipsis; width: 1fr; }
    Sparkline { height: 2; }
    #tree { width: 1fr; max-width: 40; border: round $primary-darken-2; }
    #instances { width: 2fr; height: 1fr; border: round $primary-darken-2; }
    #asking { width: 60; height: 6; border: round $primary; padding: 0 1; background: $surface; }
    _Asking { align: center middle; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "drain", "Drain"),
        Binding("w", "weight", "Weight"),
        Binding("r", "restart", "Restart"),
        Binding("slash", "filter", "Filter", key_display="/"),
        Binding("p", "pause", "Pause"),
        Binding("q", "quit", "Quit"),
    ]

    def __init__(self, settings: AdminSettings) -> None:
        super().__init__()
        self._settings = settings
        self._board = Board()
        self._wanted = ""
        self._paused = False
        self._ended = threading.Event()
        self._rows: list[InstanceRow] = []
        # Kept, not looked for: a question in front is a screen of its own.
        self._figures = [
            (Label(id=f"value-{at}"), Sparkline([], id=f"line-{at}")) for at in range(len(FIGURES))
        ]
        self._tree: Tree[str] = Tree("callboard", id="tree")
        self._table: DataTable[Text] = DataTable(
            id="instances", cursor_type="row", zebra_stripes=True
        )

    def compose(self) -> ComposeResult:
        """Head, figures, tree and instances, keys."""
        yield Header()
        with Horizontal(id="figures"):
            for value, line in self._figures:
                with Vertical(classes="figure"):
                    yield value
                    yield line
        with Horizontal():
            yield self._tree
            yield self._table
        yield Footer()

    def on_mount(self) -> None:
        """Name the columns, and begin to read."""
        self._table.add_columns(*COLUMNS)
        self._tree.root.expand()
        threading.Thread(target=self._read, name="top-stream", daemon=True).start()

    def on_unmount(self) -> None:
        """Have the reader end."""
        self._ended.set()

    def _read(self) -> None:
        """Follow the stream, again and again, until the screen ends. On a thread of its own."""
        while not self._ended.is_set():
            try:
                self._follow()
                self._tell("the front-end has stopped")
            except Unreachable as error:
                self._tell(str(error))
            self._ended.wait(AGAIN)

    def _follow(self) -> None:
        with opened(self._settings) as client, opened(self._settings, STREAM_TIMEOUT) as stream:
            self._look(client)
            seconds = 0
            for event in stream.events(f"/admin/v1/stream?topics={_TOPICS}"):
                if self._ended.is_set():
                    return
                self._hand_over(partial(self._take, event.topic, event.json()))
                seconds += event.topic == "stats"
                if seconds == OVERVIEW_EVERY:
                    self._look(client)
                    seconds = 0

    def _look(self, client: Client) -> None:
        """Ask how the front-end is, which no topic says."""
        self._hand_over(partial(self._take_overview, client.get("/admin/v1/overview")))

    def _hand_over(self, act: Callable[[], None]) -> None:
        """Have ``act`` run on textual's thread, unless the screen has ended."""
        if not self._ended.is_set():
            with contextlib.suppress(RuntimeError):  # it has ended meanwhile
                self.call_from_thread(act)

    def _tell(self, text: str) -> None:
        self._hand_over(partial(self.notify, text, severity="warning"))

    def _take_overview(self, overview: Mapping[str, Any]) -> None:
        self._board.overview = overview
        if not self._paused:
            self.sub_title = self._board.title()

    def _take(self, topic: str, document: Any) -> None:
        self._board.take(topic, document)
        if self._paused:
            return
        if topic == "stats":
            self._show_figures()
        elif topic == "tree":
            self._show_tree()
        elif topic == "models":
            self._show_instances()

    def _show_figures(self) -> None:
        for figure, (value, line) in zip(FIGURES, self._figures, strict=True):
            text = Text.assemble((f"{figure.title}  ", "dim"), (self._board.figure(figure), "bold"))
            value.update(text)
            line.data = self._board.line(figure)

    def _show_tree(self) -> None:
        """Draw the tree again, with the cursor on the child on which it was."""
        tree, cursor = self._tree, self._child()
        tree.clear()
        tree.root.set_label(shown(self._board.tree["id"]))
        tree.root.expand()
        for node in _grown(tree.root, self._board.tree):
            if node.data == cursor and cursor is not None:
                tree.call_after_refresh(tree.move_cursor, node)

    def _show_instances(self) -> None:
        """Fill the table again, with the cursor on the instance on which it was."""
        table, chosen = self._table, self._chosen()
        self._rows = [*self._board.rows(self._wanted)]
        table.clear()
        for row in self._rows:
            table.add_row(*(Text(cell, _STYLES.get(cell, "")) for cell in row.cells))
        at = _place(self._rows, chosen)
        if at is not None:
            table.move_cursor(row=at)

    def _chosen(self) -> InstanceRow | None:
        at = self._table.cursor_row
        return self._rows[at] if 0 <= at < len(self._rows) else None

    def _child(self) -> str | None:
        node = self._tree.cursor_node
        return None if node is None else node.data

    def action_drain(self) -> None:
        """Drain the chosen instance, or undrain it."""
        row = self._chosen()
        if row is not None:
            verb = "undrain" if row.drained else "drain"
            self._post(f"instances/{_path(row)}:{verb}", {}, f"{verb} {row.model}#{row.id}")

    def action_weight(self) -> None:
        """Ask for the weight of the chosen instance."""
        row = self._chosen()
        if row is not None:
            question = f"weight of {row.model}#{row.id} (announced: its own)"
            self.push_screen(_Asking(question, row.cells[5]), partial(self._weigh, row))

    def _weigh(self, row: InstanceRow, text: str | None) -> None:
        if not text:
            return
        try:
            body = {"weight": weight_or_announced(text)}
        except ValueError as error:
            self.notify(str(error), severity="error")
            return
        self._post(f"instances/{_path(row)}:weight", body, f"weight of {row.model}#{row.id}")

    def action_restart(self) -> None:
        """Restart the chosen child of the tree."""
        path = self._child()
        if path:
            self._post(f"tree/{quote(path, safe='')}:restart", {}, f"restart {path}")

    def action_filter(self) -> None:
        """Ask which models to show."""
        self.push_screen(_Asking("models whose name holds", self._wanted), self._filter)

    def _filter(self, text: str | None) -> None:
        self._wanted = text or ""
        self._show_instances()

    def action_pause(self) -> None:
        """Stop the picture, or let it go on."""
        self._paused = not self._paused
        self.sub_title = "paused" if self._paused else self._board.title()

    def _post(self, path: str, body: Mapping[str, Any], what: str) -> None:
        """Send a change on a thread of its own, and say what came of it."""

        def send() -> None:
            try:
                with opened(self._settings) as client:
                    client.post(f"/admin/v1/{path}", body)
            except Unreachable as error:
                self._hand_over(partial(self.notify, str(error), severity="error"))
            else:
                self._hand_over(partial(self.notify, f"{what}: done"))

        threading.Thread(target=send, name="top-change", daemon=True).start()


def _path(row: InstanceRow) -> str:
    return Instance(row.kind, row.model, row.id).path


def _grown(node: TreeNode[str], view: Mapping[str, Any]) -> Iterator[TreeNode[str]]:
    """Add what is below ``view`` to ``node``; gives each node that was added."""
    for child in view["children"]:
        facts = ", ".join(child_facts(child))
        state = child["state"]
        label = Text.assemble(
            ("● ", _STYLES.get(state, "")),
            shown(child["id"]),
            (f"  {state} {facts}".rstrip(), "dim"),
        )
        added = node.add(label, child["path"], expand=True, allow_expand=bool(child["children"]))
        yield added
        yield from _grown(added, child)


def _place(rows: list[InstanceRow], chosen: InstanceRow | None) -> int | None:
    """Where the instance ``chosen`` stands in ``rows`` now."""
    if chosen is None:
        return None
    names = [(row.model, row.kind, row.id) for row in rows]
    wanted = (chosen.model, chosen.kind, chosen.id)
    return names.index(wanted) if wanted in names else None

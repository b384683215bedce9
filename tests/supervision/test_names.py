"""A subclass shares its names with ours, so ours are few, listed, and replaced by nobody."""

from __future__ import annotations

from typing import Any

import pykka
import pytest
from pykka.messages import ProxyCall

from actors import CallingThreadActor, Child, Supervised
from tests.supervision.conftest import Grow
from tests.supervision.subjects import WAIT

PUBLIC = {
    "address",
    "fatal",
    "restored_state",
    "lifecycle",
    "mailbox_capacity",
    "mailbox_overflow",
    "name",
    "save_state",
    "token",
}
OURS = {"_actor_start_context", "_supervised_loop"}
PYTHONS = {"_abc_impl"}


@pytest.mark.parametrize("kind", [Supervised, CallingThreadActor])
def test_the_names_that_a_supervised_actor_adds_to_pykkas_are_these(kind: type[Supervised]) -> None:
    pykkas = {*dir(pykka.Actor), "_actor_ref", "actor_inbox", "actor_stopped", "actor_urn"}
    added = {*dir(kind), *vars(kind())} - pykkas - PYTHONS
    assert {name for name in added if not name.startswith("__")} == PUBLIC | OURS


@pytest.mark.parametrize("kind", [Supervised, CallingThreadActor])
def test_a_subclass_may_use_any_obvious_name_for_its_own(kind: Any, grow: Grow) -> None:
    class Greedy(kind):  # type: ignore[misc]  # the kind is a parameter
        def __init__(self) -> None:
            super().__init__()  # pyright: ignore[reportUnknownMemberType]  # likewise
            self.mailbox = self.thread = self.busy_since = self.start_error = None
            self.name = "mine"

        def _mine(self, *_args: object) -> None:
            raise AssertionError("called by the library")

        _run = _live = _handle = _crash = _stop = _end = _terminate = _fail = _failed = _mine
        _start = _now = _context = _address = abandon = take = _mine

        def on_receive(self, message: Any) -> Any:
            return message

    tree = grow(Child("a", Greedy.start))
    assert tree.address("a").ask(1, timeout=WAIT) == 1
    tree.address("a").tell(ProxyCall(("missing",), (), {}))
    assert tree.address("a").ask(2, timeout=WAIT) == 2
    assert tree.address("a").epoch == 2
    tree.stop_child("a")

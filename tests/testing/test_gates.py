"""A gate holds a thread at one place, and never for ever."""

from __future__ import annotations

import threading

import pytest

from actors.testing import Gate, GateTimeout, held


class Door:
    """Something with a method to hold."""

    def __init__(self) -> None:
        self.passed: list[str] = []

    def enter(self, who: str) -> str:
        """Note who came, and greet."""
        self.passed.append(who)
        return f"hello {who}"


def test_a_held_call_waits_until_the_gate_opens_and_then_does_what_it_did() -> None:
    door = Door()
    answers: list[str] = []
    with held(door, "enter") as gate:
        thread = threading.Thread(target=lambda: answers.append(door.enter("ada")))
        thread.start()
        gate.reached()
        assert door.passed == []
        gate.open()
        thread.join(5.0)
    assert answers == ["hello ada"]


def test_leaving_the_block_opens_the_gate_and_takes_it_away() -> None:
    door = Door()
    with held(door, "enter") as gate:
        thread = threading.Thread(target=door.enter, args=("ada",))
        thread.start()
        gate.reached()
    thread.join(5.0)
    door.enter("bob")
    assert door.passed == ["ada", "bob"]


def test_nobody_at_the_gate_is_an_error_and_not_a_hang() -> None:
    with pytest.raises(GateTimeout, match="no thread came"):
        Gate().reached(timeout=0.0)


def test_an_open_gate_holds_nobody() -> None:
    gate = Gate()
    gate.open()
    gate.hold()
    gate.reached(timeout=0.0)

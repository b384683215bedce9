"""Every fault: switched on once, off once, whatever happens."""

from __future__ import annotations

import subprocess
import sys

import pytest

from actors.testing import faults
from actors.testing.faults import Fault, FaultUnavailable, injected


class Recorded(Fault):
    """Writes down what happens to it."""

    def __init__(self, log: list[str], label: str, error: Exception | None = None) -> None:
        super().__init__(label=label)
        self._log, self._label, self._error = log, label, error

    def _inject(self) -> None:
        if self._error is not None:
            raise self._error
        self._log.append(f"+{self._label}")

    def _heal(self) -> None:
        self._log.append(f"-{self._label}")


def test_injecting_twice_and_healing_twice_happen_once() -> None:
    log: list[str] = []
    fault = Recorded(log, "a")
    fault.heal()
    fault.inject()
    fault.inject()
    assert fault.active
    fault.heal()
    fault.heal()
    assert not fault.active
    assert log == ["+a", "-a"]


def test_an_injection_that_fails_leaves_the_fault_off() -> None:
    log: list[str] = []
    fault = Recorded(log, "a", FaultUnavailable("no permission"))
    with pytest.raises(FaultUnavailable, match="no permission"):
        fault.inject()
    assert not fault.active
    fault.heal()
    assert log == []


def test_a_with_block_heals_when_it_raises() -> None:
    log: list[str] = []
    with pytest.raises(ZeroDivisionError), Recorded(log, "a"):
        raise ZeroDivisionError
    assert log == ["+a", "-a"]


def test_several_faults_heal_in_reverse_and_those_before_a_failure_too() -> None:
    log: list[str] = []
    with injected(Recorded(log, "a"), Recorded(log, "b")):
        assert log == ["+a", "+b"]
    assert log == ["+a", "+b", "-b", "-a"]
    log.clear()
    with (
        pytest.raises(FaultUnavailable),
        injected(Recorded(log, "a"), Recorded(log, "b", FaultUnavailable("why"))),
    ):
        pytest.fail("never reached")
    assert log == ["+a", "-a"]


def test_a_fault_has_a_name_and_parameters_for_reports() -> None:
    fault = Recorded([], "a")
    assert fault.name == "recorded"
    assert dict(fault.parameters) == {"label": "a"}
    assert repr(fault) == "Recorded(label='a')"


@pytest.mark.parametrize("name", faults.__all__)
def test_every_fault_says_what_it_imitates(name: str) -> None:
    each = getattr(faults, name)
    if isinstance(each, type) and issubclass(each, Fault) and each is not Fault:
        assert "Imitates" in (each.__doc__ or "")


def test_the_toolkit_needs_the_standard_library_only() -> None:
    code = (
        "import sys, actors.testing.faults;"
        "print([m for m in ('pytest','grpc','etcd3','urllib3','falcon','waitress') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


class Interrupted(Recorded):
    """Ctrl-C comes when half of it is done."""

    def _inject(self) -> None:
        super()._inject()
        raise KeyboardInterrupt


def test_ctrl_c_within_an_injection_takes_back_what_was_done() -> None:
    log: list[str] = []
    fault = Interrupted(log, "a")
    with pytest.raises(KeyboardInterrupt):
        fault.inject()
    assert log == ["+a", "-a"]
    assert not fault.active

"""The stopwatch counts what a layer spends itself, and its list names functions that are there."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from functools import reduce

import pytest

from tests.bench import stopwatch as stopwatch_module
from tests.bench.layers import SHOWN, table
from tests.bench.stopwatch import LAYERS, WAIT, Stopwatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets nanoseconds pass."""
    now = 0

    def advance(nanoseconds: int) -> None:
        nonlocal now
        now += nanoseconds

    monkeypatch.setattr(stopwatch_module, "perf_counter_ns", lambda: now)
    return advance


def test_a_layer_is_not_charged_for_what_is_underneath(clock: Callable[[int], None]) -> None:
    watch = Stopwatch()
    inner = watch.wrap("inner", lambda: clock(5))

    def outside() -> None:
        clock(1)
        inner()
        clock(2)
        inner()

    watch.wrap("outer", outside)()
    assert watch.take() == {"outer": 3, "inner": 10}
    assert watch.take() == {}


def test_what_fails_is_counted_too(clock: Callable[[int], None]) -> None:
    watch = Stopwatch()

    def fail() -> None:
        clock(7)
        raise ZeroDivisionError

    failing = watch.wrap("inner", fail)

    def survive() -> None:
        with pytest.raises(ZeroDivisionError):
            failing()
        clock(1)

    watch.wrap("outer", survive)()
    assert watch.take() == {"outer": 1, "inner": 7}


def test_threads_do_not_charge_one_another(clock: Callable[[int], None]) -> None:
    watch = Stopwatch()
    other = watch.wrap("other", lambda: clock(5))

    def outside() -> None:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    watch.wrap("outer", outside)()
    assert watch.take() == {"outer": 5, "other": 5}


@pytest.mark.parametrize("place", [place for _, place in LAYERS])
def test_every_function_of_the_list_exists(place: str) -> None:
    module, _, path = place.partition(":")
    assert callable(reduce(getattr, path.split("."), importlib.import_module(module)))


def test_the_table_shares_the_plain_cpu_out() -> None:
    assert {layer for layer, _ in LAYERS} == {*SHOWN}
    lines = table({"case": 200.0}, {"case": {"parse": 1, "ask": 3, WAIT: 1000}})
    figures = {line.split()[0]: float(line.split()[-1]) for line in lines[1:]}
    assert figures == {**dict.fromkeys(SHOWN, 0.0), "parse": 50.0, "ask": 150.0, "all": 200.0}

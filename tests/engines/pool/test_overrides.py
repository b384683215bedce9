"""What an operator sets for an instance counts against what the instance says of itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from actors.engines.pool import NO_OVERRIDES, InstanceSpec, Overrides, Pool, UnknownInstance
from actors.testing import FakeClock
from tests.engines.pool.fakes import Heard, Scripted, failing, refused, start, status, well


def set_(pool: Pool, id_: str, **fields: object) -> Overrides:
    return pool.override(id_, lambda now: replace(now, **fields))[1]  # type: ignore[arg-type]  # a test's shorthand


def state(pool: Pool, id_: str) -> str:
    return next(each.state for each in pool.view().instances if each.id == id_)


def asked(pool: Pool, count: int) -> None:
    for _ in range(count):
        start(pool)


def test_a_drained_instance_gets_nothing_also_when_it_is_announced_again(pool: Pool) -> None:
    one, other = Scripted(well, "http://one"), Scripted(well)
    pool.put("a", one)
    pool.put("b", other)
    set_(pool, "a", drained=True)
    pool.put("a", one)
    asked(pool, 4)
    assert (one.asked, other.asked, state(pool, "a"), pool.serving) == (0, 4, "draining", 1)
    assert set_(pool, "a", drained=False) == NO_OVERRIDES
    asked(pool, 4)
    assert one.asked == 2


def test_an_instance_that_drains_by_itself_is_not_brought_back(pool: Pool) -> None:
    pool.put("a", Scripted(well, "http://one"), InstanceSpec(draining=True))
    set_(pool, "a", drained=True)
    set_(pool, "a", drained=False)
    assert state(pool, "a") == "draining"


def test_overrides_outlive_the_instance_and_its_endpoint(pool: Pool) -> None:
    pool.put("a", Scripted(well, "http://one"))
    pool.put("b", Scripted(well))
    set_(pool, "a", drained=True)
    pool.drop("a")
    pool.put("a", Scripted(well, "http://two"))
    assert state(pool, "a") == "draining"
    set_(pool, "a", drained=False, ejected=True)
    pool.put("a", Scripted(well, "http://three"))
    assert state(pool, "a") == "ejected"


def test_a_weight_takes_the_place_of_the_announced_one_until_it_is_none(pool: Pool) -> None:
    pool.put("a", Scripted(well, "http://one"), InstanceSpec(weight=2.0))
    assert set_(pool, "a", weight=0.5).weight == 0.5
    pool.put("a", Scripted(well, "http://one"), InstanceSpec(weight=3.0))
    assert pool.view().instances[0].weight == 0.5
    set_(pool, "a", weight=None)
    assert pool.view().instances[0].weight == 3.0


def test_an_ejected_instance_stands_back_until_it_is_readmitted(
    pool: Pool, clock: FakeClock
) -> None:
    one, other = Scripted(well), Scripted(well)
    pool.put("a", one)
    pool.put("b", other)
    set_(pool, "a", ejected=True)
    clock.advance(3600)
    asked(pool, 4)
    assert (one.asked, other.asked, state(pool, "a")) == (0, 4, "ejected")
    pool.drop("b")
    asked(pool, 1)
    assert one.asked == 1  # no other is left
    pool.readmit("a")
    assert state(pool, "a") == "starting"
    assert pool.view().instances[0].overrides == NO_OVERRIDES


def test_an_ejected_instance_that_asks_for_a_pause_stands_back_all_the_longer(
    pool: Pool, clock: FakeClock
) -> None:
    pool.put("a", Scripted(failing(status(429))))
    set_(pool, "a", ejected=True)
    asked(pool, 3)
    clock.advance(3600)
    assert state(pool, "a") == "ejected"


def test_an_instance_that_its_breaker_ejected_is_readmitted(pool: Pool, heard: Heard) -> None:
    bad, good = Scripted(failing(refused)), Scripted(well)
    pool.put("a", bad)
    pool.put("b", good)
    asked(pool, 2)
    assert state(pool, "a") == "ejected"
    assert len(heard.of("ejected")) == 1
    bad.script = well
    pool.readmit("a")
    before = bad.asked
    asked(pool, 2)
    assert bad.asked == before + 1


def test_an_instance_that_is_not_there_can_not_be_changed(pool: Pool) -> None:
    with pytest.raises(UnknownInstance):
        pool.override("z", lambda now: now)

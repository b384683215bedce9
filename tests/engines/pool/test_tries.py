"""What is known afterwards of each instance that one request asked."""

from __future__ import annotations

from actors.engines.pool import Pool
from actors.engines.pool.tries import Try, answering, note_end
from tests.engines.pool.fakes import Manual, Scripted, failing, refused, well
from tests.engines.pool.test_request import Client


def asked(pool: Pool) -> Client:
    client = Client()
    pool.begin(client)
    return client


def test_a_request_that_asked_one_instance_has_none_to_tell_of(pool: Pool) -> None:
    pool.put("a", Scripted(well))
    assert asked(pool).tries is None


def test_each_failed_instance_is_told_with_its_cause_and_the_last_answered(pool: Pool) -> None:
    pool.put("a", Scripted(failing(refused)))
    pool.put("b", Scripted(well))
    found = [asked(pool).tries for _ in range(2)]
    (tries,) = [each for each in found if each is not None]
    first, second = tries
    assert (first.instance, first.error, first.ended is not None) == ("a", "connect", True)
    assert (second.instance, second.error, second.answered is not None) == ("b", None, True)
    assert answering(tries) == "b"


def test_what_is_stopped_because_its_client_left_was_cancelled(pool: Pool) -> None:
    pool.put("a", Scripted(failing(refused)))
    pool.put("b", Manual())
    clients = [asked(pool) for _ in range(2)]
    for client in clients:
        client.abort(TimeoutError(), tell=False)
    (tries,) = [each.tries for each in clients if each.tries is not None]
    assert [each.error for each in tries] == ["connect", "cancelled"]


def test_the_one_that_was_asked_last_counts_where_none_answered() -> None:
    tries = [Try("a", 1.0), Try("b", 2.0)]
    note_end(tries, "b", 3.0)
    note_end(tries, "a", 3.0, "reset")
    assert answering(tries) == "b"
    assert [each.error for each in tries] == ["reset", "cancelled"]

"""Files of entries: what one holds, who wins, and what a reader hears; pure."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.directory.scan import NOTHING, Content, File, merged, parsed, steps
from discovery.source import Deleted, Put

MARK = (1, 2, 3)


def entry(name: str, instance: str = "", version: int = 0) -> dict[str, object]:
    named = {"instance": instance} if instance else {}
    return {"name": name, "model_type": "Chat", "version": version, **named}


def read(content: object, before: File | None = None) -> File:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return parsed(raw, MARK, before)


def keys(file: File) -> list[bytes]:
    return [key for key, _ in file.entries]


def test_an_object_is_one_entry_and_an_array_several() -> None:
    assert keys(read(entry("org/m"))) == [b"/models/chat/org/m"]
    several = read([entry("a"), entry("b", "w1")])
    assert keys(several) == [b"/models/chat/a", b"/models/chat/b#w1"]
    assert json.loads(several.entries[1][1]) == entry("b", "w1")


def test_an_empty_array_is_no_entry_and_no_trouble() -> None:
    assert read([]) == File(MARK)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "not JSON, or not all of it is there"),
        (b'[{"name": "a", "model_ty', "not JSON, or not all of it is there"),
        (json.dumps([entry("a")]).encode() + b"]", "not JSON"),
        (b"\xff\xfe", "it is not UTF-8 (byte 0)"),
        ("text", "entry 0 names no model: Expected `object`, got `str`"),
        ([entry("a"), 7], "entry 1 names no model: Expected `object`, got `int`"),
        ([entry("a"), {"name": "b"}], "entry 1 names no model: Object missing required field"),
        ({"name": 7, "model_type": "chat"}, "entry 0 names no model"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
    ],
)
def test_a_file_that_is_not_whole_keeps_what_it_held(content: object, says: str) -> None:
    good = read([entry("a"), entry("b")])
    bad = read(content, good)
    assert bad.problem is not None
    assert says in bad.problem
    assert bad.entries == good.entries
    assert read(content).entries == ()
    assert read([entry("c")], bad) == read([entry("c")])


def test_a_type_that_nobody_knows_still_makes_a_key_for_the_quarantine() -> None:
    assert keys(read({"name": "m", "model_type": "magic"})) == [b"/models/magic/m"]


def test_of_two_files_that_claim_one_key_the_first_by_name_has_it() -> None:
    a, b = read([entry("m", version=1)]), read([entry("m", version=2), entry("n")])
    both = merged({"b.json": b, "a.json": a})
    assert json.loads(both.entries[b"/models/chat/m"])["version"] == 1
    assert b"/models/chat/n" in both.entries
    assert both.troubles == {
        b"file:b.json": "'/models/chat/m' is announced by 'a.json' already",
    }
    alone = merged({"b.json": b})
    assert json.loads(alone.entries[b"/models/chat/m"])["version"] == 2
    assert alone.troubles == {}


def test_a_key_that_stands_twice_in_one_file_counts_once() -> None:
    twice = merged({"a.json": read([entry("m", version=1), entry("m", version=2)])})
    assert json.loads(twice.entries[b"/models/chat/m"])["version"] == 1
    assert [*twice.troubles] == [b"file:a.json"]


def test_a_name_that_is_no_text_can_still_be_shown() -> None:
    names = {"\udcff.json": read(entry("m")), "\udcffz.json": read(entry("m"))}
    reasons = merged(names).troubles.values()
    assert json.dumps([*reasons]).encode()
    assert "\\xff" in next(iter(reasons))


CONTENTS = st.builds(
    Content,
    st.dictionaries(st.sampled_from([b"a", b"b", b"c"]), st.binary(max_size=1)),
    st.dictionaries(st.sampled_from([b"file:x", b"file:y"]), st.sampled_from(["r", "s"])),
)


@given(CONTENTS, CONTENTS)
def test_the_steps_lead_from_one_content_to_the_other(old: Content, new: Content) -> None:
    entries, troubles = dict(old.entries), dict(old.troubles)
    for event in steps(old, new):
        if isinstance(event, Put):
            assert entries.get(event.key) != event.value
            entries[event.key] = event.value
        elif isinstance(event, Deleted):
            del entries[event.key]
        elif event.reason is None:
            del troubles[event.where]
        else:
            assert troubles.get(event.where) != event.reason
            troubles[event.where] = event.reason
    assert (entries, troubles) == (new.entries, new.troubles)
    assert [*steps(new, new)] == []
    assert [*steps(NOTHING, NOTHING)] == []

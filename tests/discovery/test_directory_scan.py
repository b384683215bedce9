"""Files of entries: what one holds, who wins, and what a reader hears; pure."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from discovery.directory.scan import NOTHING, Announced, Content, File, merged, parsed, steps
from discovery.source import Put, Removed, Unusable

MARK = (1, 2, 3)


def entry(name: str, instance: str = "", version: int = 0) -> dict[str, object]:
    named = {"instance": instance} if instance else {}
    url = f"http://h:{version + 1}/v1"
    return {"name": name, "model_type": "Chat", "endpoint": {"url": url}, **named}


def read(content: object, before: File | None = None) -> File:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return parsed(raw, MARK, before)


def keys(file: File) -> list[str]:
    return [announced.event.id for announced in file.entries]


def version_of(announced: Announced) -> int:
    assert isinstance(announced.event, Put)
    return int(announced.event.entry.url.split(":")[2].split("/")[0]) - 1


def test_an_object_is_one_entry_and_an_array_several() -> None:
    assert keys(read(entry("org/m"))) == ["/models/chat/org/m"]
    several = read([entry("a"), entry("b", "w1")])
    assert keys(several) == ["/models/chat/a", "/models/chat/b#w1"]
    assert json.loads(several.entries[1].raw) == entry("b", "w1")


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


def test_an_unknown_type_makes_an_id_for_the_quarantine() -> None:
    (refused,) = read({"name": "m", "model_type": "magic"}).entries
    assert isinstance(refused.event, Unusable)
    assert refused.event.id == "/models/magic/m"
    assert "magic" in str(refused.event.reason)


def test_an_entry_whose_text_is_unchanged_is_not_decoded_again() -> None:
    before = read([entry("a"), entry("b")])
    after = read([entry("a"), entry("b", version=1)], before)
    assert after.entries[0] is before.entries[0]
    assert after.entries[1] != before.entries[1]


def test_of_two_files_that_claim_one_key_the_first_by_name_has_it() -> None:
    a, b = read([entry("m", version=1)]), read([entry("m", version=2), entry("n")])
    both = merged({"b.json": b, "a.json": a})
    assert version_of(both.entries["/models/chat/m"]) == 1
    assert "/models/chat/n" in both.entries
    assert both.problems == {
        "file:b.json": "'/models/chat/m' is announced by 'a.json' already",
    }
    alone = merged({"b.json": b})
    assert version_of(alone.entries["/models/chat/m"]) == 2
    assert alone.problems == {}


def test_a_key_that_stands_twice_in_one_file_counts_once() -> None:
    twice = merged({"a.json": read([entry("m", version=1), entry("m", version=2)])})
    assert version_of(twice.entries["/models/chat/m"]) == 1
    assert [*twice.problems] == ["file:a.json"]


def test_a_name_that_is_no_text_can_still_be_shown() -> None:
    names = {"\udcff.json": read(entry("m")), "\udcffz.json": read(entry("m"))}
    reasons = merged(names).problems.values()
    assert json.dumps([*reasons]).encode()
    assert "\\xff" in next(iter(reasons))


def announced(id_: str, raw: bytes) -> Announced:
    return Announced(raw, Unusable(id_, raw.decode("latin-1") + "!"))


def content_of(entries: dict[str, bytes], problems: dict[str, str]) -> Content:
    return Content({id_: announced(id_, raw) for id_, raw in entries.items()}, problems)


CONTENTS = st.builds(
    content_of,
    st.dictionaries(st.sampled_from(["a", "b", "c"]), st.binary(max_size=1)),
    st.dictionaries(st.sampled_from(["file:x", "file:y"]), st.sampled_from(["r", "s"])),
)


@given(CONTENTS, CONTENTS)
def test_the_steps_lead_from_one_content_to_the_other(old: Content, new: Content) -> None:
    held = {id_: each.event for id_, each in old.entries.items()}
    problems = dict(old.problems)
    for event in steps(old, new):
        if isinstance(event, Removed):
            del held[event.id]
        elif not event.id.startswith("file:"):
            assert held.get(event.id) != event
            held[event.id] = event
        else:
            assert isinstance(event, Unusable)
            assert problems.get(event.id) != event.reason
            if event.reason is None:
                del problems[event.id]
            else:
                problems[event.id] = event.reason
    assert held == {id_: each.event for id_, each in new.entries.items()}
    assert problems == new.problems
    assert [*steps(new, new)] == []
    assert [*steps(NOTHING, NOTHING)] == []

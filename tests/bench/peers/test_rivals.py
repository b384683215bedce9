"""The table of rivals: pinned, complete, and nothing of this machine in it."""

from __future__ import annotations

import re
import string
from pathlib import Path

import pytest

from tests.bench.peers import rivals
from tests.bench.peers.cache import CACHE, Cache, cache_folder
from tests.bench.peers.gateways import FLOOR, OURS, rival
from tests.bench.peers.rivals import DEFAULT, RIVALS, Rival

FIELDS = {"python", "bin", "port", "spare", "upstream", "here"}
each_rival = pytest.mark.parametrize("each", RIVALS, ids=lambda each: each.name)


@each_rival
def test_every_requirement_is_pinned(each: Rival) -> None:
    assert each.version
    assert all(re.fullmatch(r"[\w.\[\]-]+==[\d.]+", words) for words in each.requirements)


@each_rival
def test_a_command_uses_only_what_is_filled_in(each: Rival) -> None:
    words = [*each.command, *each.settings.values()]
    named = {field for word in words for _, field, _, _ in string.Formatter().parse(word) if field}
    assert named <= FIELDS
    assert "port" in named
    assert "upstream" in named
    assert each.command[0].startswith(("{python}", "{bin}/"))


@each_rival
def test_nobody_listens_beyond_this_machine_nor_opens_a_path_of_ours(each: Rival) -> None:
    assert "0.0.0.0" not in each.command
    assert not any(word.startswith("/") for word in each.command)


def test_the_names_are_different_and_the_default_ones_exist() -> None:
    names = [each.name for each in RIVALS]
    assert len({*names, FLOOR, OURS}) == len(names) + 2
    assert set(DEFAULT) <= set(names)


def test_a_rival_that_is_installed_is_not_installed_again(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    place = cache.place(RIVALS[0])
    place.mkdir(parents=True)
    (place / ".ready").touch()
    gateway = rival(cache, RIVALS[0].name, "http://127.0.0.1:1")
    start, again = gateway.start(), gateway.start()
    assert start.command[0] == str(place / "bin" / RIVALS[0].name)
    assert str(start.port) in start.command
    assert start.port != again.port
    assert not any("{" in word for word in start.command)


def test_a_new_pin_is_a_new_environment(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    one = Rival("a", "C", ("a==1", "b==1"), ())
    other = Rival("a", "C", ("a==1", "b==2"), ())
    assert cache.place(one) != cache.place(other)


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({CACHE: "/x"}, "/x"),
        ({"XDG_CACHE_HOME": "/y"}, "/y/callboard-bench"),
        ({CACHE: "/x", "XDG_CACHE_HOME": "/y"}, "/x"),
        ({CACHE: ""}, str(Path("~/.cache/callboard-bench").expanduser())),
    ],
)
def test_where_the_cache_is(environment: dict[str, str], expected: str) -> None:
    assert str(cache_folder(environment)) == expected


def test_the_files_that_the_table_names_are_here() -> None:
    here = Path(rivals.__file__).parent
    words = [word for each in RIVALS for word in each.command if word.startswith("{here}/")]
    assert words
    assert all((here / word.removeprefix("{here}/")).exists() for word in words)

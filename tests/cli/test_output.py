"""Tables, JSON, YAML and colour: for people at a terminal, for programs in a pipe."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.cli.output import Screen, document, painter, table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_state_has_its_colour_and_its_width_on_a_terminal() -> None:
    plain = [*table([("ID", "STATE"), ("a", "serving"), ("b", "ejected")])]
    painted = [*table([("ID", "STATE"), ("a", "serving"), ("b", "ejected")], painter(Terminal()))]
    assert painted[1] == "a   \x1b[32mserving\x1b[0m"
    assert "\x1b[31mejected" in painted[2]
    assert [re.sub(r"\x1b\[\d+m", "", line) for line in painted] == plain


@pytest.mark.parametrize(
    ("stream", "environment"),
    [
        (io.StringIO(), {}),
        (Terminal(), {"NO_COLOR": "1"}),
        (Terminal(), {"TERM": "dumb"}),
    ],
)
def test_a_pipe_no_color_and_a_dumb_terminal_get_no_colour(
    stream: io.StringIO, environment: dict[str, str]
) -> None:
    assert painter(stream, environment)("serving") == "serving"


def test_an_empty_no_color_counts_as_unset() -> None:
    assert painter(Terminal(), {"NO_COLOR": ""})("503") == "\x1b[31m503\x1b[0m"


SCALARS = st.none() | st.booleans() | st.integers(-999, 999) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


def yaml(text: str) -> Any:
    """Reads the part of YAML that is written here: block collections of JSON's scalars."""
    value, rest = _block(text.split("\n"), 0)
    assert rest == []
    return value


def _block(lines: list[str], indent: int) -> tuple[Any, list[str]]:
    first = lines[0][indent:]
    if first.startswith("- "):
        items: list[Any] = []
        while lines and lines[0][:indent] == " " * indent and lines[0][indent:].startswith("- "):
            lines = [lines[0].replace("- ", "  ", 1), *lines[1:]]
            item, lines = _block(lines, indent + 2)
            items.append(item)
        return items, lines
    if re.match(r'("(?:[^"\\]|\\.)*"|[^":\[{]+):( |$)', first):
        return _mapping(lines, indent)
    return _scalar(first), lines[1:]


def _mapping(lines: list[str], indent: int) -> tuple[dict[str, Any], list[str]]:
    found: dict[str, Any] = {}
    while lines and lines[0][:indent] == " " * indent and lines[0][indent : indent + 1] not in " -":
        match = re.match(r'("(?:[^"\\]|\\.)*"|[^":]+):( (.*))?$', lines[0][indent:])
        assert match, lines[0]
        key = _scalar(match[1])
        if match[3] is not None:
            found[key], lines = _scalar(match[3]), lines[1:]
        else:
            found[key], lines = _block(lines[1:], indent + 2)
    return found, lines


def _scalar(text: str) -> Any:
    text = re.sub(r"\\U([0-9a-f]{8})", lambda found: chr(int(found[1], 16)), text)
    try:
        return json.loads(text)
    except ValueError:
        return text


@given(VALUES)
@example("NaN")
@example({"y": ["Infinity", "-", "a: b", "- c", "#", ""]})
def test_yaml_says_what_json_says(value: Any) -> None:
    assert yaml(document(value, "yaml")) == json.loads(document(value, "json"))


@given(VALUES, st.sampled_from(["json", "yaml"]))
@example("\x9b31m\x7f\u202e\U000e0001", "json")
@example("\x9b31m\x7f\u202e\U000e0001", "yaml")
def test_no_control_character_reaches_the_terminal(value: Any, output: str) -> None:
    assert all(line.isprintable() for line in document(value, output).split("\n"))
    if output == "json":
        assert json.loads(document(value, output)) == value


def test_words_that_yaml_takes_for_something_else_are_quoted() -> None:
    assert document({"a": ["no", "null", "ready", "1.5"]}, "yaml").splitlines() == [
        "a:",
        '  - "no"',
        '  - "null"',
        "  - ready",
        '  - "1.5"',
    ]


def test_a_screen_is_drawn_over_on_a_terminal_and_appended_elsewhere() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    for stream in (terminal, pipe):
        screen = Screen(stream)
        screen.show(["one", "two"])
        screen.show(["three"])
    assert terminal.getvalue().endswith("\x1b[Hthree\x1b[K\n\x1b[J")
    assert pipe.getvalue() == "one\ntwo\n\nthree\n\n"

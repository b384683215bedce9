"""The reader of pages itself: a test of the docs must not pass because it read nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.blocks import Block, blocks, commands, links


def test_fenced_blocks_are_found_with_their_language(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("text\n```sh\nls\n```\nmore\n```python\nx = 1\n```\n")
    assert blocks(page) == [Block("sh", "ls\n"), Block("python", "x = 1\n")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("make run\n", [["make", "run"]]),
        ("a  # why\nb\n", [["a"], ["b"]]),
        ("# only a comment\n", []),
        ("a \\\n  --b c\n", [["a", "--b", "c"]]),
        ("curl -d '{\n  \"x\": 1\n}'\nls\n", [["curl", "-d", '{\n  "x": 1\n}'], ["ls"]]),
    ],
)
def test_a_shell_block_is_split_into_commands(text: str, expected: list[list[str]]) -> None:
    assert commands(text) == expected


def test_an_open_quote_is_an_error() -> None:
    with pytest.raises(ValueError, match="never closed"):
        commands("curl -d '{\n")


def test_links_are_relative_targets_without_their_anchors(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("[a](docs/a.md#x) ![b](b.svg) [c](https://example.com/)")
    assert links(page) == ["docs/a.md", "b.svg"]

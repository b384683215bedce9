"""No code takes a new kind of model for an old one: mypy or these tests list what is left."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

import actors
import discovery
import http_service
from actors.engines import Kind
from actors.engines.contract import GENERATING

PACKAGES = (actors, discovery, http_service)


def product_files() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted(Path(package.__path__[0]).rglob("*.py"))


def product_modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def is_kind(node: ast.expr) -> bool:
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "Kind"
    )


def compares_a_kind(node: ast.AST) -> bool:
    return isinstance(node, ast.Compare) and any(map(is_kind, [node.left, *node.comparators]))


def matches_without_a_last_case(node: ast.AST) -> bool:
    """Whether ``node`` is a ``match`` over kinds whose last case is not ``assert_never``."""
    if not isinstance(node, ast.Match):
        return False
    patterns = [case.pattern for case in node.cases]
    if not any(isinstance(each, ast.MatchValue) and is_kind(each.value) for each in patterns):
        return False
    return "assert_never" not in ast.unparse(node.cases[-1])


def lines_of(source: str) -> list[int]:
    """The lines of ``source`` that choose by kind in a way that mypy can't complete."""
    nodes = [*ast.walk(ast.parse(source))]
    chosen = [each for each in nodes if compares_a_kind(each) or matches_without_a_last_case(each)]
    return sorted(cast("Any", each).lineno for each in chosen)


def test_the_product_chooses_by_kind_with_match_and_assert_never() -> None:
    found = {str(path): lines for path in product_files() if (lines := lines_of(path.read_text()))}
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "a if kind is Kind.CHAT else b",
        "kind == Kind.CHAT",
        "match kind:\n case Kind.CHAT: pass\n case _: pass",
    ],
)
def test_a_silent_else_is_found(source: str) -> None:
    assert lines_of(source) == [1]


def test_each_table_by_kind_has_a_row_for_each_kind_or_for_each_that_generates() -> None:
    short: list[str] = []
    tables = 0
    for module in product_modules():
        for name, value in vars(module).items():
            keys: set[Any] = {*value} if isinstance(value, Mapping) else set()
            if keys and all(isinstance(key, Kind) for key in keys):
                tables += 1
                if keys not in ({*Kind}, {*GENERATING}):
                    short.append(f"{module.__name__}.{name}")
    assert short == []
    assert tables


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("chta", "; did you mean 'chat'?"),
        ("completion", "; did you mean 'completions'?"),
        ("x", ""),
    ],
)
def test_an_unknown_kind_is_refused_with_a_suggestion(word: str, hint: str) -> None:
    expected = f"unknown kind '{word}': give one of {', '.join(Kind)}{hint}"
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}$"):
        Kind(word)

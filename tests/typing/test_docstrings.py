"""Every public name, and every public method of it, says what it promises."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from enum import Enum
from typing import Any

import pytest

import actors.supervision
import actors.testing
from actors.supervision import metrics

PACKAGES = (actors.supervision, actors.testing, metrics)


def public_names() -> Iterator[tuple[str, Any]]:
    for package in PACKAGES:
        for name in package.__all__:
            public = getattr(package, name)
            if public is not actors.supervision.TreeEvent:  # an alias cannot have one; its parts do
                yield f"{package.__name__}.{name}", public


def documented(name: str, public: Any) -> Iterator[tuple[str, str | None]]:
    """``public`` and its own public methods and properties, each with its docstring."""
    if not isinstance(public, type):
        yield name, public.__doc__
        return
    # NOTE: not inspect.getdoc, which takes a base class's where there is none; and a dataclass
    # without one gets its signature for a docstring.
    written = None if (public.__doc__ or "").startswith(f"{public.__name__}(") else public.__doc__
    yield name, written
    for member in vars(public):
        value: object = inspect.getattr_static(public, member)
        if isinstance(value, (staticmethod, classmethod)):
            value = getattr(public, member)
        if not member.startswith("_") and (inspect.isroutine(value) or isinstance(value, property)):
            yield f"{name}.{member}", value.__doc__


EVERYTHING = [each for name, public in public_names() for each in documented(name, public)]


def test_there_is_something_to_check() -> None:
    names = [name for name, _ in EVERYTHING]
    for expected in ("Tree.stop", "Supervisor.start", "Supervised.restored_state", "Exit.abnormal"):
        assert f"actors.supervision.{expected}" in names


@pytest.mark.parametrize(("name", "text"), EVERYTHING, ids=[name for name, _ in EVERYTHING])
def test_a_public_name_has_a_docstring(name: str, text: str | None) -> None:
    assert text
    assert text.strip()
    assert text[0].isupper() or text[0] == "`", f"{name}: {text.splitlines()[0]!r}"


CHOICES: list[type[Enum]] = [
    public for _, public in public_names() if isinstance(public, type) and issubclass(public, Enum)
]


@pytest.mark.parametrize("vocabulary", CHOICES, ids=lambda each: each.__name__)
def test_every_choice_says_what_it_means_where_it_is_defined(vocabulary: type[Enum]) -> None:
    source = inspect.getsource(sys.modules[vocabulary.__module__])
    (definition,) = (
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ClassDef) and node.name == vocabulary.__name__
    )
    texts = [node for node in definition.body if isinstance(node, ast.Expr)]
    assert len(texts) >= len(vocabulary)

"""A mutant: a function of the product, one change of it, and the test or scenario that must fail.

``where`` is a folder and a qualified name, as ``actors/supervision:Mailbox.put``: modules may be
renamed and merged without touching a mutant. A class, a function or a constant can be named.

``old`` and ``new`` are code, compared as syntax trees: layout, comments and docstrings do not
count. ``old`` must match once in the function. It is an expression if both are; otherwise it is
one statement or several in a row, and an empty ``new`` removes them. A tuple without parentheses
is a row of elements. A body of ``...`` stands for any body, and for the same one in ``new``. If
nothing matches, the names of variables (not of attributes) may differ, each consistently.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final, cast

__all__ = ["ROOT", "TESTS", "Mutant", "NotSeeded", "known_tests"]

ROOT: Final = Path(__file__).parents[2]
TESTS: Final = "tests/supervision"
POOL_TESTS: Final = "tests/engines/pool"

_BODIES: Final = frozenset({"body", "orelse", "finalbody", "handlers"})
_Parts = dict[str, Any]
"""What the variables and the bodies of a pattern stand for."""


class NotSeeded(ValueError):
    """The function is not there, or its code does not match exactly once."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """``old`` in ``where`` becomes ``new``; then ``caught_by`` must fail."""

    caught_by: str
    """The name of a test that is known, or the key of a scenario of :mod:`tests.faults`."""
    name: str
    """What is broken, as a sentence without its end."""
    where: str
    old: str
    new: str

    @property
    def test(self) -> str:
        """The test that must fail, as pytest names it; "" if a scenario must."""
        return known_tests().get(self.caught_by, "") if self.caught_by.startswith("test_") else ""

    @property
    def label(self) -> str:
        """Where it is and what is broken, in one line."""
        return f"{self.where}: {self.name}"

    def apply_under(self, root: Path) -> None:
        """Mutate the copy of the repository at ``root``. Raises :class:`NotSeeded`."""
        path = self.find(root)
        path.write_text(self.applied(path.read_text()))

    def find(self, root: Path = ROOT) -> Path:
        """The one file below ``root`` that defines ``where``. Raises :class:`NotSeeded`."""
        folder, _, name = self.where.partition(":")
        within = root / folder
        files = [within] if within.is_file() else sorted(within.rglob("*.py"))
        last = name.rpartition(".")[2]
        texts = ((path, path.read_text()) for path in files)
        found = [p for p, text in texts if last in text and _defines(text, name)]
        if len(found) != 1:
            raise NotSeeded(f"{self.name!r}: {folder} defines {name} in {len(found)} files, not 1")
        return found[0]

    def applied(self, source: str) -> str:
        """``source`` with the mutation. Raises :class:`NotSeeded`."""
        tree = ast.parse(source)
        name = self.where.partition(":")[2]
        function = next(iter(_named(tree, name)), None)
        if function is None:
            raise NotSeeded(f"{self.name!r}: no {name}")
        for renaming in (False, True):
            count, changed = self._changes(function, renaming=renaming)
            if count == 1 and changed is not None:
                _exchange(tree, function, changed)
                return ast.unparse(ast.fix_missing_locations(tree))
            if count:
                break
        raise NotSeeded(f"{self.name!r}: {self.where} matches {self.old!r} {count} times, not once")

    def _changes(self, function: ast.AST, *, renaming: bool) -> tuple[int, ast.AST | None]:
        """How often ``old`` matches in ``function``, and a copy of it with the change."""
        try:
            old, new = _expressions(self.old), _expressions(self.new)
        except SyntaxError:
            old, new = _statements(self.old), _statements(self.new)
        changed = copy.deepcopy(function)
        count = 0
        if renaming and isinstance(old[0], ast.Name):
            return 0, None
        for holder, field, start in list(_places(changed, len(old), old[0])):
            parts: _Parts = {} if renaming else {"": None}
            values = getattr(holder, field)
            found = values[start : start + len(old)] if start >= 0 else [values]
            if not _same_all(old, found, parts):
                continue
            count += 1
            put = [_filled(node, parts) for node in new]
            if start < 0:
                setattr(holder, field, put[0])
            else:
                values[start : start + len(old)] = put or [ast.Pass()]
        return count, changed


def _expressions(text: str) -> list[ast.AST]:
    """The expression ``text``, or the elements of a tuple without parentheses."""
    found = ast.parse(text.strip(), mode="eval").body
    if (
        isinstance(found, ast.Tuple)
        and found.elts
        and (found.end_col_offset == found.elts[-1].end_col_offset)
    ):
        return [*found.elts]
    return [found]


def _statements(text: str) -> list[ast.AST]:
    return [*ast.parse(text).body]


@cache
def known_tests() -> Mapping[str, str]:
    """Every test function below :data:`TESTS` or :data:`POOL_TESTS`, and what pytest calls it."""
    found: dict[str, str] = {}
    paths = [*(ROOT / TESTS).rglob("test_*.py"), *(ROOT / POOL_TESTS).rglob("test_*.py")]
    for path in sorted(paths):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                found[node.name] = f"{path.relative_to(ROOT)}::{node.name}"
    return found


@cache
def _defines(text: str, name: str) -> bool:
    """Whether the source ``text`` does; remembered, for mutants look through the same files."""
    return bool(_named(ast.parse(text), name))


def _named(tree: ast.AST, name: str) -> list[ast.AST]:
    """What ``tree`` defines as ``name``: functions, classes, or assignments."""
    first, _, rest = name.partition(".")
    found = [node for node in _definitions(tree) if first in _names(node)]
    return [each for node in found for each in _named(node, rest)] if rest else found


def _definitions(tree: ast.AST) -> Iterator[ast.AST]:
    """The statements of a module, a class or a function, those inside of `if` and `try`, too."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if isinstance(node, ast.If | ast.Try | ast.With):
            yield from _definitions(node)


def _names(node: ast.AST) -> list[str]:
    match node:
        case ast.FunctionDef() | ast.ClassDef():
            return [node.name]
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return [name]
        case _:
            return []


def _places(tree: ast.AST, length: int, like: ast.AST) -> Iterator[tuple[ast.AST, str, int]]:
    """Where something like ``like`` may stand: the holder, its field, and the index or -1."""
    for holder in ast.walk(tree):
        for field, value in ast.iter_fields(holder):
            if isinstance(value, list):
                nodes = cast("list[ast.AST]", value)
                for start in range(len(nodes) - length + 1):
                    if type(nodes[start]) is type(like):
                        yield holder, field, start
            elif type(value) is type(like):
                yield holder, field, -1


def _same_all(old: list[ast.AST], found: list[ast.AST], parts: _Parts) -> bool:
    return len(old) == len(found) and all(
        _same(a, b, parts) for a, b in zip(old, found, strict=True)
    )


def _same(old: Any, found: Any, parts: _Parts) -> bool:
    """Whether the pattern ``old`` matches; ``parts`` learns what its parts stand for."""
    if type(old) is not type(found):
        return False
    if isinstance(old, list):
        nodes = cast("list[ast.AST]", found)
        if _is_any(cast("list[ast.AST]", old)):
            parts.setdefault("...", []).append(nodes)
            return bool(nodes)
        return _same_all(cast("list[ast.AST]", old), nodes, parts)
    if not isinstance(old, ast.AST):
        return bool(old == found)
    if isinstance(old, ast.Name) and "" not in parts:
        named = {key: each for key, each in parts.items() if key != "..."}
        if old.id not in named and found.id in named.values():
            return False
        return bool(parts.setdefault(old.id, found.id) == found.id)
    return all(
        _same(value, getattr(found, field, None), parts)
        for field, value in ast.iter_fields(old)
        if field not in {"ctx", "type_comment", "kind"}
    )


def _is_any(body: Sequence[ast.AST]) -> bool:
    match body:
        case [ast.Expr(value=ast.Constant(value=each))]:
            return each is ...
        case _:
            return False


def _filled(new: ast.AST, parts: Mapping[str, Any]) -> ast.AST:
    """A copy of ``new`` with the bodies and the names that ``old`` matched."""
    filled = copy.deepcopy(new)
    bodies = iter(parts.get("...", ()))
    for node in list(ast.walk(filled)):
        if isinstance(node, ast.Name):
            node.id = parts.get(node.id, node.id)
        for field in _BODIES & set(node._fields):
            if _is_any(getattr(node, field)):
                setattr(node, field, next(bodies))
    return filled


def _exchange(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for holder in ast.walk(tree):
        for field, value in ast.iter_fields(holder):
            if value is old:
                setattr(holder, field, new)
            elif isinstance(value, list):
                nodes = cast("list[ast.AST]", value)
                nodes[:] = [new if node is old else node for node in nodes]

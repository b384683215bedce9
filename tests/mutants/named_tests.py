"""Whether a test that something names exists: read from its file, without importing it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

__all__ = ["exists"]


def exists(folder: Path, test: str) -> bool:
    """Whether ``test``, as ``module.py::function``, is a test of a module in ``folder``."""
    module, _, function = test.partition("::")
    return function in _functions(folder / module)


@cache
def _functions(path: Path) -> frozenset[str]:
    if not path.is_file():
        return frozenset()
    body = ast.parse(path.read_text()).body
    names = (each.name for each in body if isinstance(each, ast.FunctionDef))
    return frozenset(name for name in names if name.startswith("test_"))

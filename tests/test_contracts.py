"""Every module stands in a layer: import-linter's contracts name each one."""

from __future__ import annotations

import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = {"actors": ROOT, "discovery": ROOT, "http_service": ROOT / "http"}

WITHOUT_LAYERS: Final = {
    "actors.engines.llama",
    "actors.engines.pool",
    "actors.engines.pool.policies",
    "actors.engines.upstream",
    "actors.eventloop",
    "actors.supervision",
    "actors.testing",
    "actors.testing.faults",
    "discovery",
    "discovery.directory",
    "discovery.etcd",
    "http_service.api",
    "http_service.api.endpoints",
    "http_service.dialects",
    "http_service.server",
    "http_service.streaming",
    "http_service.telemetry",
}
"""Packages whose modules have no order among each other yet: none is added, some may go."""


def _members() -> dict[str, set[str]]:
    """The modules and packages directly in each package."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, folder in PACKAGES.items():
        for path in (folder / name).rglob("*.py"):
            *parents, last = path.relative_to(folder).with_suffix("").parts
            module = parents if last == "__init__" else [*parents, last]
            if len(module) > 1:
                found[".".join(module[:-1])].add(module[-1])
    return found


def _layered() -> dict[str, set[str]]:
    """The members of each package that a layers contract names."""
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: dict[str, set[str]] = defaultdict(set)
    for contract in settings["tool"]["importlinter"]["contracts"]:
        for container in contract.get("containers", ()):
            for layer in contract["layers"]:
                found[container] |= {part.strip() for part in layer.replace(":", "|").split("|")}
    return found


@pytest.mark.parametrize("package", sorted(_layered()))
def test_a_contract_names_every_module_of_its_package(package: str) -> None:
    named = {name.strip("()") for name in _layered()[package]}
    assert _members()[package] - named == set()


def test_packages_without_a_contract_of_their_own_get_fewer() -> None:
    without = {name for name in _members() if name not in _layered()}
    assert without - WITHOUT_LAYERS == set()

"""The pages about supervision say what the library does: their output, names and defaults."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from dataclasses import dataclass, fields
from enum import Enum
from itertools import pairwise
from typing import Any, get_args

import pytest
from prometheus_client import CollectorRegistry

import actors
import actors.testing
from actors import AutoShutdown, Backoff, Cause, Child, Restart, Strategy, Supervisor
from actors.supervision import metrics
from tests.docs.blocks import ROOT, Block, blocks, commands

GUIDE = ROOT / "docs" / "guides" / "supervision.md"
REFERENCE = ROOT / "docs" / "reference" / "supervision.md"
EXAMPLE = ROOT / "docs" / "examples" / "ticker.py"
DEFECTS = ROOT / "tests" / "supervision" / "test_pykka_defects.py"


@dataclass(frozen=True)
class Shown:
    """A program of a page, and the output that the page shows below it."""

    arguments: tuple[str, ...]
    output: str


def arguments_of(block: Block) -> tuple[str, ...]:
    if block.language == "python":
        return ("-c", block.text)
    ((program, *arguments),) = commands(block.text)
    assert program == "python"
    return tuple(arguments)


def shown() -> list[Shown]:
    """Every block that is followed by one with its output."""
    found = blocks(GUIDE)
    return [
        Shown(arguments_of(block), output.text)
        for block, output in pairwise(found)
        if output.language == "text"
    ]


def run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def section(title: str) -> str:
    """The text of one section of the reference."""
    return REFERENCE.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]


def names_in(text: str) -> list[str]:
    """What stands in backquotes."""
    return re.findall(r"`([^`]+)`", text)


def defaults(of: type[Any]) -> dict[str, Any]:
    """The fields of a specification, in order, with their defaults."""
    return {field.name: field.default for field in fields(of)}


def written(default: object) -> str:
    """A default as the page writes it."""
    return str(default) if isinstance(default, Enum) else repr(default).replace("'", '"')


def is_error(each: type[Any]) -> bool:
    return issubclass(each, Exception)


@pytest.mark.parametrize("program", shown(), ids=[f"program-{n + 1}" for n in range(len(shown()))])
def test_a_program_of_the_supervision_guide_prints_what_the_page_shows(program: Shown) -> None:
    assert run(*program.arguments) == program.output


def test_every_program_of_the_guide_shows_its_output() -> None:
    runnable = [block for block in blocks(GUIDE) if block.language in {"python", "sh"}]
    # The example is shown once and run by the command below it.
    assert len(shown()) == len(runnable) - 1


def test_the_example_in_the_supervision_guide_is_the_file_that_runs() -> None:
    assert EXAMPLE.read_text() in [b.text for b in blocks(GUIDE) if b.language == "python"]


def test_the_example_of_the_supervision_guide_heals_and_keeps_its_state() -> None:
    printed = run(str(EXAMPLE))
    healed = printed.index("ticker is up again, epoch 2")
    assert printed.index("ACME costs 104.5") < printed.index("ticker ended: crash") < healed
    assert healed < printed.index("ACME still costs 104.5")


def test_the_supervision_reference_names_every_public_name_and_no_other() -> None:
    assert set(names_in(section("Public names"))) == {
        "actors",
        "actors.supervision.metrics",
        "actors.testing",
        *actors.__all__,
        *actors.testing.__all__,
        *metrics.__all__,
    }


def test_the_supervision_reference_has_every_key_of_a_child_in_order() -> None:
    headings = re.findall(r"^### `(\w+)`$", section("Child specification"), re.MULTILINE)
    assert headings == list(defaults(Child))


@pytest.mark.parametrize("key", ["shutdown", "start_within", "hang_after"])
def test_the_supervision_reference_gives_the_default_of_a_deadline(key: str) -> None:
    text = section("Child specification").split(f"### `{key}`")[1].split("###")[0]
    assert f"default `{defaults(Child)[key]}`" in text


def test_the_supervision_reference_gives_the_defaults_of_a_backoff() -> None:
    arguments = ", ".join(f"{name}={value}" for name, value in defaults(Backoff).items())
    assert f"`Backoff({arguments})`" in section("Child specification")


def test_the_supervision_reference_marks_the_default_restart_type() -> None:
    default = defaults(Child)["restart"]
    assert f"`{default.name}` (default)" in section("Child specification")


def test_the_supervision_reference_gives_every_flag_of_a_supervisor() -> None:
    table = section("Principle")
    for name, parameter in inspect.signature(Supervisor.start).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            assert f"`{name}`" in table
            assert name == "clock" or f"`{written(parameter.default)}`" in table


@pytest.mark.parametrize("vocabulary", [Strategy, AutoShutdown, Restart, Cause])
def test_the_supervision_reference_has_a_row_for_every_choice(vocabulary: type[Enum]) -> None:
    rows = re.findall(r"^\| `(\w+)`", REFERENCE.read_text(), re.MULTILINE)
    assert {choice.name for choice in vocabulary} <= set(rows)


def test_the_supervision_reference_has_a_row_for_every_event_with_its_fields() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", section("Events"), re.MULTILINE))
    for event in get_args(actors.TreeEvent):
        named = ", ".join(f"`{field.name}`" for field in fields(event))
        assert rows[event.__name__] == named


def test_the_supervision_reference_has_a_row_for_every_error() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section("Errors"), re.MULTILINE)
    public = {name: getattr(actors, name) for name in actors.__all__}
    errors = {n for n, each in public.items() if isinstance(each, type) and is_error(each)}
    assert set(rows) == errors


def test_the_supervision_reference_has_the_metrics_of_the_listener() -> None:
    registry = CollectorRegistry()
    metrics.SupervisionMetrics(registry, prefix="x")
    families = {f"{{prefix}}{family.name[1:]}_total" for family in registry.collect()}
    assert families == set(re.findall(r"^\| `(\{prefix\}\w+)`", section("Events"), re.MULTILINE))


def test_the_page_on_pykka_has_a_section_for_every_pair_of_defect_tests() -> None:
    tested = re.findall(r"^def test_(\d)_ours", DEFECTS.read_text(), re.MULTILINE)
    told = re.findall(
        r"^### (\d)\. ", (ROOT / "docs" / "why" / "pykka.md").read_text(), re.MULTILINE
    )
    assert told == tested == ["1", "2", "3", "4", "5"]


def test_every_link_within_the_supervision_reference_leads_to_a_heading() -> None:
    text = REFERENCE.read_text()
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", each).lower().replace(" ", "-") for each in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors

"""The guide shows the file that runs, its output, and every fault there is."""

from __future__ import annotations

import re
import subprocess
import sys
from itertools import pairwise

import pytest

from actors.testing import faults
from actors.testing.faults import Fault
from tests.docs.blocks import ROOT, Block, blocks
from tests.faults.command import parse

GUIDE = ROOT / "docs" / "guides" / "fault-injection.md"
EXAMPLE = ROOT / "docs" / "examples" / "under_faults.py"


def shown() -> list[tuple[Block, Block]]:
    """Every program that is followed by its output."""
    return [
        (program, output)
        for program, output in pairwise(blocks(GUIDE))
        if output.language == "text"
    ]


@pytest.mark.parametrize("number", range(len(shown())))
def test_a_program_of_the_fault_guide_prints_what_the_page_shows(number: int) -> None:
    program, output = shown()[number]
    arguments = [str(EXAMPLE)] if program.language == "sh" else ["-c", program.text]
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == output.text


def test_the_example_in_the_fault_guide_is_the_file_that_runs() -> None:
    assert EXAMPLE.read_text() in [b.text for b in blocks(GUIDE) if b.language == "python"]


def test_the_fault_guide_names_every_fault_and_only_options_that_exist() -> None:
    text = GUIDE.read_text()
    every = {
        name
        for name in faults.__all__
        if isinstance(each := getattr(faults, name), type)
        and issubclass(each, Fault)
        and each is not Fault
    }
    assert every <= set(re.findall(r"`(\w+)`", text))
    table = re.findall(r"^\| `(--[\w-]+)[^`]*` \|", text, re.MULTILINE)
    known = vars(parse([]))
    assert {each.lstrip("-").replace("-", "_") for each in table} <= set(known)
    assert len(table) == 8

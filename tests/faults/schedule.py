"""What was injected when, as a file: so that the same can be done again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.faults.engine import Timing
from tests.faults.mix import Step

__all__ = ["BadSchedule", "Run", "Schedule", "read_schedule"]

VERSION: Final = 1


class BadSchedule(ValueError):
    """The file is no schedule of ours; the text says why."""


@dataclass(frozen=True, slots=True)
class Run:
    """One scenario with its moments; ``steps`` only for a mix of a campaign."""

    scenario: str
    timing: Timing
    steps: tuple[Step, ...] | None = None


@dataclass(frozen=True, slots=True)
class Schedule:
    """Runs in order, and the seed they were drawn from."""

    seed: int
    runs: tuple[Run, ...]

    def write(self, path: Path) -> None:
        """As JSON, one run a line."""
        runs = ",\n  ".join(json.dumps(_plain(run)) for run in self.runs)
        path.write_text(f'{{"version": {VERSION}, "seed": {self.seed}, "runs": [\n  {runs}\n]}}\n')


def read_schedule(path: Path) -> Schedule:
    """A schedule that was written by :meth:`Schedule.write`. Raises :class:`BadSchedule`."""
    try:
        found: dict[str, Any] = json.loads(path.read_text())
        if found["version"] != VERSION:
            raise BadSchedule(f"{path} is of version {found['version']}, this is {VERSION}")
        return Schedule(int(found["seed"]), tuple(_run(each) for each in found["runs"]))
    except OSError as error:
        raise BadSchedule(f"can't read {path}: {error.strerror}") from None
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, BadSchedule):
            raise
        raise BadSchedule(f"{path} is no schedule: {error!r}") from None


def _plain(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = {"scenario": run.scenario, **asdict(run.timing)}
    if run.steps is not None:
        found["steps"] = [asdict(step) for step in run.steps]
    return found


def _run(found: dict[str, Any]) -> Run:
    steps: Sequence[dict[str, Any]] | None = found.get("steps")
    return Run(
        str(found["scenario"]),
        Timing(float(found["inject"]), float(found["heal"]), int(found["seed"])),
        None if steps is None else tuple(Step(**each) for each in steps),
    )

"""The cache folder: rivals in environments of their own, and the floor, compiled; each made once.

Everything that the benchmark installs lies in ``CALLBOARD_BENCH_CACHE``, by default
``callboard-bench`` in the user's cache folder; nothing in the repository. Remove it as you like.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.bench.peers.rivals import Rival

__all__ = ["CACHE", "Cache", "CannotPrepare", "cache_folder"]

CACHE: Final = "CALLBOARD_BENCH_CACHE"
"""The environment variable that names another folder."""

INSTALL_TIMEOUT: Final = 900.0
"""Seconds for the largest rival, half a gigabyte, over a slow line."""
COMPILE_TIMEOUT: Final = 60.0

_FLOOR: Final = Path(__file__).with_name("floor.c")


class CannotPrepare(Exception):
    """Something could not be installed or compiled; the message says what, and what to do."""


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where everything goes."""
    if named := environment.get(CACHE):
        return Path(named).expanduser()
    base = environment.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "callboard-bench"


class Cache:
    """Makes what is not there yet; a half-made environment is made again."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        folder.mkdir(parents=True, exist_ok=True)

    def place(self, rival: Rival) -> Path:
        """The rival's environment: named for its versions, so that a new pin is a new one."""
        pins = "\n".join((*rival.requirements, *rival.overrides))
        digest = hashlib.sha256(pins.encode()).hexdigest()[:8]
        name = rival.name.lower().replace(" ", "-")
        return self.folder / "rivals" / f"{name}-{rival.version}-{digest}"

    def install(self, rival: Rival) -> Path:
        """The folder of the rival's programs; installs it on the first call, in minutes at most."""
        place = self.place(rival)
        programs, ready = place / "bin", place / ".ready"
        if not ready.exists():
            print(f"installing {rival.name} {rival.version} …", file=sys.stderr, flush=True)
            shutil.rmtree(place, ignore_errors=True)
            uv = self._uv()
            self._run(
                f"the environment of {rival.name}", uv, "venv", "--python", sys.executable, place
            )
            python = ("--python", programs / "python")
            overrides = place / "overrides.txt"
            overrides.write_text("\n".join(rival.overrides) + "\n")
            more = ("--overrides", overrides, "--compile-bytecode")
            self._run(rival.name, uv, "pip", "install", *python, *more, *rival.requirements)
            ready.touch()
        return programs

    def compile_floor(self) -> Path:
        """The floor, compiled with the C compiler at hand."""
        source = _FLOOR.read_bytes()
        program = self.folder / f"floor-{hashlib.sha256(source).hexdigest()[:12]}"
        if not program.exists():
            compiler = shutil.which("cc") or shutil.which("gcc")
            if compiler is None:
                raise CannotPrepare("the floor is a C program: install gcc, or leave it out")
            fresh = program.with_suffix(".new")
            self._run("the floor", compiler, "-O2", "-o", fresh, _FLOOR, timeout=COMPILE_TIMEOUT)
            fresh.rename(program)
        return program

    def _uv(self) -> Path:
        """uv, which unlike pip can override what a release demands."""
        programs = self.folder / "uv" / "bin"
        if not (programs / "uv").exists():
            python = programs / "python"
            self._run("uv's environment", sys.executable, "-m", "venv", self.folder / "uv")
            self._run("uv", python, "-m", "pip", "install", "--quiet", "uv")
        return programs / "uv"

    def _run(self, what: str, *command: str | Path, timeout: float = INSTALL_TIMEOUT) -> None:
        settings = {"UV_NO_PROGRESS": "1", "UV_CACHE_DIR": str(self.folder / "uv-cache")}
        try:
            done = subprocess.run(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
                env={**os.environ, **settings},
            )
        except subprocess.TimeoutExpired:
            raise CannotPrepare(f"{what} was not ready within {timeout:g} s") from None
        if done.returncode:
            raise CannotPrepare(f"{what} could not be made ready:\n{done.stderr[-2000:]}")

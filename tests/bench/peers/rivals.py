"""The rivals, as a table: what to install, in which version, and how each one is started.

All are started as their own documentation says for one static worker, with logs off, and get the
same upstream. ``{python}`` and ``{bin}`` are those of the rival's own environment; ``{port}``,
``{spare}`` (a second port, where one insists on serving its metrics) and ``{upstream}`` are filled
in at the start; ``{here}`` is this folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

__all__ = ["DEFAULT", "RIVALS", "Rival"]


@dataclass(frozen=True, slots=True)
class Rival:
    """One gateway that is not ours.

    ``requirements`` are pinned; ``overrides`` mend what a release demands and no registry has.
    ``settings`` is its environment.
    """

    name: str
    language: str
    requirements: tuple[str, ...]
    command: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    settings: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def version(self) -> str:
        """The version that the first requirement pins."""
        return self.requirements[0].partition("==")[2]


_ROUTER: Final = (
    *("--host", "127.0.0.1", "--port", "{port}", "--worker-urls", "{upstream}"),
    *("--policy", "round_robin", "--worker-startup-check-interval", "1"),
    *("--prometheus-host", "127.0.0.1", "--prometheus-port", "{spare}"),
)
"""The three Rust routers are of one family and share these options."""

RIVALS: Final = (
    Rival(
        name="smg",
        language="Rust",
        requirements=("smg==1.13.0",),
        command=(
            *("{bin}/smg", "launch", *_ROUTER, "--log-level", "warn"),
            "--disable-tokenizer-autoload",
        ),
    ),
    Rival(
        name="sglang-router",
        language="Rust",
        requirements=("sglang-router==0.3.2",),
        command=(
            *("{python}", "-m", "sglang_router.launch_router", *_ROUTER),
            *("--log-level", "warn"),
        ),
    ),
    Rival(
        name="vllm-router",
        language="Rust",
        requirements=("vllm-router==0.1.17",),
        command=("{bin}/vllm-router", *_ROUTER, "--log-level", "warning"),
    ),
    Rival(
        name="Dynamo HttpService",
        language="Rust, engine in Python",
        requirements=(
            *("ai-dynamo==1.6.1", "ai-dynamo-runtime==1.6.1"),
            *("uvloop==0.23.0", "aiohttp==3.14.5"),
        ),
        command=("{python}", "{here}/dynamo_front.py", "{port}", "{upstream}"),
        # aisimulate is not on the registry, and nothing here needs it.
        overrides=("certifi>=2026.1.1", "aisimulate; python_version < '3.0'"),
        settings={"DYN_LOG": "error", "HF_HUB_OFFLINE": "1"},
    ),
    Rival(
        name="LiteLLM",
        language="Python",
        requirements=("litellm[proxy]==1.109.1", "uvloop==0.23.0"),
        command=(
            *("{bin}/litellm", "--config", "{here}/litellm.yaml", "--host", "127.0.0.1"),
            *("--port", "{port}", "--num_workers", "1", "--telemetry", "False"),
        ),
        overrides=("certifi>=2026.1.1", "litellm-proxy-extras>=0.4.100"),
        settings={
            "BENCH_UPSTREAM": "{upstream}/v1",
            "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
            "HF_HUB_OFFLINE": "1",
        },
    ),
)

DEFAULT: Final = ("smg", "sglang-router", "vllm-router", "Dynamo HttpService")
"""The rivals of a run that names none; LiteLLM is a gigabyte and ten times slower."""

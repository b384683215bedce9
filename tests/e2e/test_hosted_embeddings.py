"""A worker that hosts the real model makes vectors through a front-end, beside talking."""

from __future__ import annotations

from operator import mul
from pathlib import Path

import openai
import pytest

from tests.engines.asking import PARIS
from tests.support.callboard import Callboard
from tests.support.chat import wait_for_model

pytestmark = [pytest.mark.model, pytest.mark.timeout(300)]


def test_a_hosted_model_makes_vectors_beside_talking_and_counts(tmp_path: Path) -> None:
    hosted = ("worker", "--llama", "smollm2", "--model", "m", "--type", "embeddings,chat")
    with (
        Callboard("--host", "127.0.0.1", "--port", "0", "--discovery-dir", str(tmp_path)) as front,
        Callboard(*hosted, "--announce-dir", str(tmp_path), "--drain", "0"),
    ):
        wait_for_model(front.url, "m")
        with openai.OpenAI(base_url=f"{front.url}/v1", api_key="k", max_retries=0) as sdk:
            texts = ["a cat", "a kitten", "quantum chromodynamics"]
            packed = sdk.embeddings.create(model="m", input=texts)
            cat, kitten, quarks = (item.embedding for item in packed.data)
            listed = sdk.embeddings.create(model="m", input=texts[0], encoding_format="float")
            said = sdk.chat.completions.create(
                model="m",
                temperature=0,
                max_tokens=7,
                messages=[{"role": "user", "content": PARIS}],
            )

            counts = sdk.responses.input_tokens.with_raw_response
            counted = counts.count(model="m", input=PARIS)

    assert counted.parse().input_tokens == said.usage.prompt_tokens  # type: ignore[union-attr]  # it was counted
    assert "x-callboard-estimate" not in counted.headers
    assert len(cat) == 576
    assert sum(map(mul, cat, kitten)) > sum(map(mul, cat, quarks))
    assert listed.data[0].embedding == pytest.approx(cat, abs=1e-5)
    assert packed.usage.prompt_tokens > listed.usage.prompt_tokens > 0
    assert "Paris" in (said.choices[0].message.content or "")

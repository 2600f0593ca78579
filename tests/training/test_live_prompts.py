"""A live prompt is the text that training rows have: the same tokens, whatever the reviewed code holds."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from securetag import triage
from securetag.records import Finding
from securetag.scrubbing import list_control_tokens
from securetag.serving import base as served_base
from securetag.serving.client import RuntimeClient
from securetag.serving.gguf import read_control_tokens
from securetag.serving.runtime import Runtime
from securetag.serving.smoke import FINDING
from securetag.training import base, rows
from securetag.training.recipe import RECIPES_DIR, load

pytestmark = [pytest.mark.sockets, pytest.mark.system]


def hostile(tokens: frozenset[str]) -> Finding:
    code = "\n".join(f"    note = '{token} and {token}{token}'" for token in sorted(tokens))
    return msgspec.structs.replace(FINDING, snippet=f"{FINDING.snippet}\n{code}")


def test_a_served_model_reads_the_tokens_that_training_rows_have(tmp_path: Path) -> None:
    tokenizer = base.load_tokenizer(load(RECIPES_DIR / "securetag-embedded.yaml"))
    file = served_base.locate_base()
    tokens = list_control_tokens(tokenizer.added_tokens_decoder.values())
    assert read_control_tokens(file) == tokens
    assert "<filename>" in tokens
    prompt = triage.render(hostile(tokens), profile="compact")
    trained = rows._tokens(tokenizer, prompt.messages, add_generation_prompt=True)
    with Runtime(log_dir=tmp_path) as runtime:
        url = runtime.serve(file, alias="candidate", model_id="ab" * 32, slots=1, ctx=2048)
        client = RuntimeClient(url, run_dir=tmp_path, aliases=["candidate"])
        try:
            completion = client.chat(prompt.messages, schema=None, max_tokens=1, timeout_s=60)
        finally:
            client.close()
    assert completion.prompt_tokens == len(trained)
    unescaped = tokenizer.apply_chat_template(
        msgspec.to_builtins(prompt.messages), add_generation_prompt=True, return_dict=False
    )
    assert len(unescaped) < len(trained), "without the escape the prompt would have other tokens"

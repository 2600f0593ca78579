"""One prompt, the same tokens everywhere: in training, in llama.cpp's server, and by Ollama's template."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import msgspec
import pytest

from securetag import triage
from securetag.records import Message
from securetag.serving import base as embedded
from securetag.serving.modelfile import choose_packaging
from securetag.serving.runtime import Runtime
from securetag.serving.smoke import FINDING
from securetag.training import base, rows
from securetag.training.recipe import find_recipe, load

pytestmark = [pytest.mark.system, pytest.mark.sockets]


def render_for_ollama(template: str, messages: list[Message]) -> str:
    """Render the only construct of our Go templates: a range over the messages."""
    match = re.fullmatch(r"\{\{- range \.Messages \}\}(.*?)\{\{ end \}\}(.*)", template, re.DOTALL)
    assert match is not None
    assert "{{" not in match[2]
    turns = (
        match[1].replace("{{ .Role }}", message.role).replace("{{ .Content }}", message.content)
        for message in messages
    )
    return "".join(turns) + match[2]


def test_an_empty_system_message_reaches_every_model_as_one(tmp_path: Path) -> None:
    prompt = triage.render(FINDING, profile="compact")
    tokenizer = base.load_tokenizer(load(find_recipe("securetag-embedded")))
    trained = rows.encode_prompt(tokenizer, prompt.messages)
    with Runtime(log_dir=tmp_path) as runtime:
        url = runtime.serve(embedded.locate_base(), alias="base", model_id="ab" * 32, slots=1)
        messages = {"messages": msgspec.to_builtins(prompt.messages)}
        served = httpx.post(f"{url}/apply-template", json=messages, timeout=60).json()["prompt"]

        def read_as_tokens(text: str) -> list[int]:
            body = {"content": text, "parse_special": True}
            ids: list[int] = httpx.post(f"{url}/tokenize", json=body, timeout=60).json()["tokens"]
            return ids

        assert read_as_tokens(served) == trained
        packaging = choose_packaging(embedded.entry(), str(tokenizer.chat_template), ctx=1024)
        assert read_as_tokens(render_for_ollama(packaging.template, prompt.messages)) == trained
    assert tokenizer.decode(trained).startswith("<|im_start|>system\n<|im_end|>\n<|im_start|>user\nCWE-89\n")

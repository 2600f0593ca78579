"""How a GGUF of ours is packaged for Ollama: chat template, parameters, license, and the name's rules.

Ollama's templates are Go templates, and it would guess one from the GGUF's Jinja; a near match drops
the system message, so the template is always given.
Format: https://github.com/ollama/ollama/blob/main/docs/modelfile.mdx
"""

from __future__ import annotations

import json

import msgspec

from securetag.errors import InputError, LicenceError
from securetag.serving.registry import ModelEntry

#: Ends of a turn by family, told apart by a token that only its template holds.
_FAMILIES: dict[str, tuple[str, list[str]]] = {
    "<|im_start|>": (
        "{{- range .Messages }}<|im_start|>{{ .Role }}\n{{ .Content }}<|im_end|>\n{{ end }}"
        "<|im_start|>assistant\n",
        ["<|im_end|>"],
    ),
    "<|start_header_id|>": (
        "{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n{{ .Content }}<|eot_id|>"
        "{{ end }}<|start_header_id|>assistant<|end_header_id|>\n\n",
        ["<|eot_id|>", "<|end_of_text|>"],
    ),
}
#: For a person who chats with the model; triage always sends its own system message.
SYSTEM = "You triage findings of a static analyser and answer with one JSON object."
BUILT_WITH_LLAMA = "Built with Llama"


class Packaging(msgspec.Struct, frozen=True, kw_only=True):
    """What goes into Ollama beside the weights."""

    template: str
    system: str
    parameters: dict[str, int | list[str]]
    #: One text each.
    licences: list[str]


def choose_packaging(entry: ModelEntry, chat_template: str, *, ctx: int) -> Packaging:
    """Return the packaging for a GGUF with this Jinja template. Raises InputError for an unknown family."""
    for token, (template, stops) in _FAMILIES.items():
        if token in chat_template:
            licences = [f"SPDX-License-Identifier: {entry.licence}\nBase model: {entry.base}"]
            if is_llama(entry):
                licences.append(
                    f"{BUILT_WITH_LLAMA}. Llama 3.1 is licensed under the Llama 3.1 Community License, "
                    "Copyright © Meta Platforms, Inc. All Rights Reserved."
                )
            return Packaging(
                template=template,
                system=SYSTEM,
                licences=licences,
                parameters={"temperature": 0, "num_ctx": ctx, "stop": stops},
            )
    raise InputError(
        f"no Ollama template is known for the chat format of {entry.base}",
        hint="Add its Go template to securetag/serving/modelfile.py.",
    )


def render(pack: Packaging, source: str) -> str:
    """Return the Modelfile for `ollama create -f`, with the weights at `source`."""
    lines = [f"FROM {source}", f'TEMPLATE """{pack.template}"""', f'SYSTEM """{pack.system}"""']
    for name, value in pack.parameters.items():
        every = value if isinstance(value, list) else [value]
        lines += [f"PARAMETER {name} {json.dumps(item, ensure_ascii=False)}" for item in every]
    lines += [f'LICENSE """{text}"""' for text in pack.licences]
    return "\n".join(lines) + "\n"


def is_llama(entry: ModelEntry) -> bool:
    """Do the weights fall under a Llama community license? (The architecture `llama` says nothing of it.)"""
    return entry.licence.startswith("LicenseRef-Llama") or entry.base.lower().startswith(
        ("llama", "meta-llama")
    )


def check_name(name: str, entry: ModelEntry, *, public: bool) -> None:
    """Raise LicenceError when this model may not be distributed under `name`.

    A private tag may be called anything. A distributed fine-tune of Llama must have a name that begins
    with "Llama" (Llama 3.1 Community License, 1.b.i); a namespaced name is one that is pushed.
    """
    if not (public or "/" in name) or not is_llama(entry):
        return
    if not name.rsplit("/", 1)[-1].lower().startswith("llama"):
        raise LicenceError(
            f"a distributed fine-tune of {entry.base} may not be called {name}",
            hint='Its license wants a name that begins with "Llama", such as Llama-3.1-Securetag-v1.',
        )

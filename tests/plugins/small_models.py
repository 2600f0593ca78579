"""Models without tensors, and the settings of an Ollama server to publish them to."""

from __future__ import annotations

from pathlib import Path

from securetag.scrubbing import CONTROL_TOKENS_KEY, write_tokens
from securetag.serving import gguf
from securetag.serving.registry import ModelEntry, Parity
from securetag.settings import Settings
from securetag.settings.sections import TriageSettings
from securetag.system.hashing import hash_file

CHATML = "{% for m in messages %}<|im_start|>{{ m.content }}{% endfor %}"
MODEL_ID = "5e" * 32
CONTROL_TOKENS = frozenset({"<|im_start|>", "<|im_end|>", "<filename>"})
VERSION = f"securetag-v1:{MODEL_ID[:12]}"


def weights(path: Path, *, model_id: str | None = MODEL_ID, template: str = CHATML) -> ModelEntry:
    """A GGUF without tensors: all that publishing reads is its metadata."""
    from gguf import GGUFWriter

    writer = GGUFWriter(path, arch="llama")
    writer.add_chat_template(template)
    if model_id:
        writer.add_string(gguf.MODEL_ID_KEY, model_id)
        writer.add_string(CONTROL_TOKENS_KEY, write_tokens(CONTROL_TOKENS))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    return ModelEntry(
        model_id=MODEL_ID,
        path=str(path),
        file_sha256=hash_file(path),
        base="SmolLM2-135M-Instruct",
        quantisation="Q8_0",
        licence="Apache-2.0",
        adapter="ad" * 32,
        parity=make_parity(hash_file(path)),
    )


def make_parity(file_sha256: str, *, rows: int = 200, flips: int = 0) -> Parity:
    """A receipt of a file whose verdicts are the adapter's, but for some."""
    return Parity(
        file_sha256=file_sha256,
        release="0" * 12,
        rows=rows,
        unscored=0,
        flips_merged=0,
        flips_served=flips,
        shift_merged=0.0,
        shift_served=0.01,
        at="2026-11-28T00:00:00.000Z",
    )


def settings(host: str) -> Settings:
    return Settings(ollama_host=host, triage=TriageSettings(backend="ollama"))


LLAMA = ModelEntry(
    model_id=MODEL_ID,
    path="x",
    file_sha256="0" * 64,
    base="Llama-3.1-8B-Instruct",
    quantisation="Q4_K_M",
    licence="LicenseRef-Llama-3.1-Community",
)

